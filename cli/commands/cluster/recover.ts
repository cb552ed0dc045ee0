import type { Command } from 'commander';
import { LocalService, RecoverRequest, type RecoverResponse } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { probeSocket } from '../../connect.ts';
import type { Context } from '../../context.ts';
import { ensureDaemon, hasState, surroundingsOf } from '../../local-daemon.ts';
import { warn } from '../../output/warning.ts';
import { ownSocket, stateDirOf } from '../../paths.ts';
import type { Flags } from '../../spec/flags.ts';
import { declarePlace } from '../start-options.ts';
import { nextSteps } from './restore.ts';

/** Reading and writing a large state takes minutes on a slow disk. */
const RECOVER_MS = 30 * 60_000;

export const recover: Verb = {
  declare(command) {
    declareRecover(declarePlace(command))
      .option('--advertise-addr <HOST[:PORT]>', 'New address of this node (default: as before)')
      .option('--listen-addr <HOST:PORT>', 'New address to listen on (default: as before)');
  },
  run: (context, _words, flags) => recoverCluster(context, flags),
};

/** The flags that `init --force-new-cluster` takes as well. */
export function declareRecover(command: Command): Command {
  return command
    .option('--force', 'Although the managers have a leader')
    .option('--with-uncommitted', 'Also keep entries that are not known to be committed');
}

/** Makes the node of an existing state directory the only manager of its cluster. */
export async function recoverCluster(context: Context, flags: Flags): Promise<undefined> {
  const stateDir = stateDirOf(surroundingsOf(context), flags.text('state-dir'));
  const socket = ownSocket(surroundingsOf(context), context.globals, flags.text('state-dir'));
  if (!hasState(stateDir) && (await probeSocket(socket)) !== 'answers') throw noState(stateDir);
  const daemon = await ensureDaemon(context, flags);
  try {
    const request = RecoverRequest.create({
      force: flags.is('force'),
      withUncommitted: flags.is('with-uncommitted'),
      advertiseAddress: flags.text('advertise-addr') ?? '',
      listenAddress: flags.text('listen-addr') ?? '',
    });
    say(context, await daemon.session.write(LocalService.recover, request, RECOVER_MS));
  } finally {
    // A daemon that was started for this stays: it is the cluster now, or tells what is wrong.
    daemon.session.close();
  }
  return undefined;
}

function say(context: Context, answer: RecoverResponse): void {
  const dropped =
    answer.droppedEntries === 0
      ? ''
      : `${answer.droppedEntries} entries that were not known to be committed were left out.\n`;
  context.io.out(
    `This node (${answer.nodeId.slice(0, 12)}) is the only manager of cluster ${answer.clusterId.slice(0, 12)} now.\n` +
      `${dropped}The state before is in ${answer.backupFile},\nits key in ${answer.keyFile}.\n` +
      nextSteps(answer.formerManagers, answer.advertiseAddress, answer.workerToken),
  );
  warn(context, answer.warnings);
}

function noState(stateDir: string): SwarmError {
  return new SwarmError('STATE_DIR', `There is no node in ${stateDir}.`, {
    advice: 'Give the state directory of a manager, or restore a backup.',
    command: 'swarm cluster restore FILE --key @FILE',
  });
}
