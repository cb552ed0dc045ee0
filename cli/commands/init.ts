import {
  type Availability,
  InitRequest,
  type InitResponse,
  LocalService,
} from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { ensureDaemon } from '../local-daemon.ts';
import { parseWord } from '../parse/words.ts';
import type { Flags } from '../spec/flags.ts';
import { declareSettings, settingsOf } from './cluster/settings.ts';
import { AVAILABILITIES } from './node/update.ts';
import { warn } from './shared-options.ts';
import { declareAddresses, declarePlace } from './start-options.ts';

export const init: Verb = {
  declare(command) {
    declareSettings(declareAddresses(declarePlace(command)));
  },
  async run(context, _words, flags) {
    const request = initRequest(flags);
    const daemon = await ensureDaemon(context, flags);
    try {
      const answer = await daemon.session.write(LocalService.init, request);
      context.io.out(welcome(answer));
      warn(context, answer.warnings);
      warnHostCode(context, flags);
    } catch (error) {
      await daemon.undo();
      throw error;
    } finally {
      daemon.session.close();
    }
  },
};

function initRequest(flags: Flags): InitRequest {
  return InitRequest.create({
    advertiseAddress: flags.text('advertise-addr') ?? '',
    listenAddress: flags.text('listen-addr') ?? '',
    publishAddress: flags.text('publish-addr') ?? '',
    spec: settingsOf(flags).spec,
    availability: flags.or<Availability>('availability', 0, (f, t) =>
      parseWord(f, t, AVAILABILITIES),
    ),
    allowProcess: flags.is('allow-process'),
    nodeName: flags.text('name') ?? '',
  });
}

function welcome(answer: InitResponse): string {
  const address = answer.advertiseAddress;
  return (
    `Cluster ${answer.clusterId.slice(0, 12)} made: this node (${answer.nodeId.slice(0, 12)}) is its manager.\n\n` +
    'Another machine joins as a worker with\n\n' +
    `    swarm join --token ${answer.workerToken} ${address}\n\n` +
    "and as a manager with the line that 'swarm join-token manager' prints.\n"
  );
}

/** Whoever may create services runs commands here: said at the moment it becomes true. */
function warnHostCode(context: Context, flags: Flags): void {
  if (context.io.uid === 0 && !flags.is('allow-process')) return;
  const as = context.io.uid === 0 ? 'the user that each service names' : 'your own user';
  context.io.err(`Process tasks run commands of this host as ${as}, without isolation.\n`);
}
