import type { Command } from 'commander';
import {
  type Availability,
  InitRequest,
  type InitResponse,
  LocalService,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { ensureDaemon, undoAfter } from '../local-daemon.ts';
import { warn } from '../output/warning.ts';
import { parseWhole } from '../parse/number.ts';
import { parseWord } from '../parse/words.ts';
import { collect } from '../spec/declare-options.ts';
import type { Flags } from '../spec/flags.ts';
import { declareRecover, recoverCluster } from './cluster/recover.ts';
import { declareSettings, inFlags, settingsOf } from './cluster/settings.ts';
import { AVAILABILITIES } from './node/update.ts';
import { declareAddresses, declareDataPath, declarePlace, offerOf } from './start-options.ts';

export const init: Verb = {
  declare(command) {
    declarePools(declareSettings(declareDataPath(declareAddresses(declarePlace(command))))).option(
      '--force-new-cluster',
      "Make a cluster of this manager's own state: the same as swarm cluster recover",
    );
    declareRecover(command);
  },
  async run(context, _words, flags) {
    if (flags.is('force-new-cluster')) return recoverCluster(context, flags);
    if (flags.has('force', 'with-uncommitted')) throw onlyWithForce();
    const request = initRequest(flags);
    const daemon = await ensureDaemon(context, flags);
    try {
      const answer = await daemon.session.write(LocalService.init, request);
      context.io.out(welcome(answer));
      warn(context, answer.warnings);
      warnHostCode(context, flags);
    } catch (error) {
      await undoAfter(error, daemon);
      throw inFlags(error);
    } finally {
      daemon.session.close();
    }
    return undefined;
  },
};

function onlyWithForce(): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    '--force and --with-uncommitted go with --force-new-cluster.',
    { command: 'swarm cluster recover --help' },
  );
}

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
    offer: offerOf(flags),
    nodeName: flags.text('name') ?? '',
    dataPathAddress: flags.text('data-path-addr') ?? '',
    network: {
      addressPools: flags.list('default-addr-pool'),
      subnetLength: flags.or('default-addr-pool-mask-length', 0, (f, t) =>
        parseWhole(f, t, LIMITS.subnetLengthMin, LIMITS.subnetLengthMax),
      ),
      dataPort: flags.or('data-path-port', 0, (f, t) => parseWhole(f, t, 0, 65_535)),
    },
  });
}

/** Where networks get their subnets; fixed for the life of the cluster. */
function declarePools(command: Command): Command {
  return command
    .option('--default-addr-pool <CIDR>', 'Subnets are taken from it (default 10.0.0.0/8)', collect)
    .option('--default-addr-pool-mask-length <N>', 'Length of these subnets (default 24)')
    .option('--data-path-port <PORT>', 'UDP port of traffic between containers (default 4799)');
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
