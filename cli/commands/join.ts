import { type Availability, JoinRequest, LocalService, Role } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Verb } from '../command.ts';
import { ensureDaemon, undoAfter } from '../local-daemon.ts';
import { warn } from '../output/warning.ts';
import { invalid } from '../parse/invalid.ts';
import { readToken } from '../parse/token.ts';
import { parseWord } from '../parse/words.ts';
import { AVAILABILITIES } from './node/update.ts';
import { declareAddresses, declareDataPath, declarePlace, offerOf } from './start-options.ts';

export const join: Verb = {
  declare(command) {
    command
      .argument('<HOST:PORT...>', 'a manager of the cluster, or several')
      .option('--token <TOKEN>', 'Join token: its text, @FILE, or - for standard input');
    declareDataPath(declareAddresses(declarePlace(command)));
  },
  async run(context, words, flags) {
    const given = flags.text('token');
    if (given === undefined) throw noToken();
    const managers = words.map(managerAddress);
    const token = await readToken(given, context.io);
    const availability = flags.or<Availability>('availability', 0, (f, t) =>
      parseWord(f, t, AVAILABILITIES),
    );
    const daemon = await ensureDaemon(context, flags);
    try {
      const request = JoinRequest.create({
        managers,
        token,
        advertiseAddress: flags.text('advertise-addr') ?? '',
        listenAddress: flags.text('listen-addr') ?? '',
        publishAddress: flags.text('publish-addr') ?? '',
        availability,
        allowProcess: flags.is('allow-process'),
        offer: offerOf(flags),
        nodeName: flags.text('name') ?? '',
        dataPathAddress: flags.text('data-path-addr') ?? '',
      });
      const answer = await daemon.session.write(LocalService.join, request);
      const role = answer.role === Role.MANAGER ? 'manager' : 'worker';
      context.io.out(
        `This node (${answer.nodeId.slice(0, 12)}) joined the cluster as a ${role}.\n`,
      );
      warn(context, answer.warnings);
    } catch (error) {
      await undoAfter(error, daemon);
      throw error;
    } finally {
      daemon.session.close();
    }
  },
};

/** HOST, HOST:PORT or [IPv6]:PORT, with the default port where none is given. */
function managerAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::(\d+))?$/.exec(text);
  const port = Number(match?.[2] ?? DEFAULTS.controlPort);
  if (match === null || port < 1 || port > 65_535)
    throw invalid('The address of a manager', text, 'HOST:PORT, such as 10.0.0.1:2377');
  return `${match[1]}:${port}`;
}

function noToken(): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', '--token is missing.', {
    advice: 'A manager prints the whole line:',
    command: 'swarm join-token worker',
  });
}
