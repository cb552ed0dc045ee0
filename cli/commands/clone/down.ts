import { rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { ControlService, Empty, ListRequest, LocalService } from '../../../proto/index.ts';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import { readUpMarker, type UpMarker, upDirOf } from '../../clone/marker.ts';
import type { Verb } from '../../command.ts';
import { openSession, probeSocket } from '../../connect.ts';
import type { Context } from '../../context.ts';
import { startDaemon } from '../../daemon-process.ts';
import { hasState, stopDaemon, surroundingsOf, waitForEnd } from '../../local-daemon.ts';
import { isSameProcess } from '../../process-identity.ts';
import type { Session } from '../../session.ts';

/** `npm run down`: ends the cluster of `npm run up` with its tasks, and deletes it. */
export const down: Verb = {
  declare(command) {
    command.option('--force', 'Also when other nodes are members');
  },
  async run(context, _words, flags) {
    const { installation } = surroundingsOf(context);
    const dir = upDirOf(installation);
    const marker = readUpMarker(dir);
    if (marker === undefined) {
      context.io.out('There is no `npm run up` cluster in this clone.\n');
      return;
    }
    const force = flags.is('force');
    try {
      await endWithTasks(context, installation.daemon, marker, force);
    } catch (error) {
      if (!force) throw withForce(error);
      context.io.err(`WARNING: it did not end in order: ${messageOf(error)}\n`);
      await killDaemon(context, marker);
    }
    rmSync(dir, { recursive: true, force: true });
    removeOutside(dir, marker.socket);
    context.io.out('The cluster is gone.\n');
  },
};

/** The daemon alone knows its tasks: a dead one is started once more to end them. */
async function endWithTasks(
  context: Context,
  daemon: string,
  marker: UpMarker,
  force: boolean,
): Promise<void> {
  const { stateDir, socket } = marker;
  if ((await probeSocket(socket)) !== 'answers') {
    if (!hasState(stateDir)) return;
    const place = { daemon, stateDir, socket, allowProcess: context.io.uid === 0 };
    await startDaemon(place, context.io.clock);
  }
  const session = await openSession(socket);
  try {
    if (!force) await refuseMembers(session);
    await stopDaemon(context, session, { withTasks: true, forget: true });
  } finally {
    session.close();
  }
}

/** Whatever keeps it from ending in order is the user's to judge: nothing was deleted. */
function withForce(error: unknown): unknown {
  if (!SwarmError.is(error) || error.code === 'IN_USE') return error;
  return new SwarmError(error.code, error.message, {
    cause: error,
    advice: 'Nothing was deleted. To end and delete it all the same:',
    command: 'npm run down -- --force',
  });
}

async function refuseMembers(session: Session): Promise<void> {
  const { state } = await session.read(LocalService.info, Empty.create());
  if (state === 'none') return;
  const { nodes } = await session.read(ControlService.listNodes, ListRequest.create());
  const others = nodes.filter((view) => !view.self).map((view) => view.node?.name ?? '');
  if (others.length === 0) return;
  throw new SwarmError('IN_USE', `Other nodes are members of this cluster: ${others.join(', ')}.`, {
    advice: 'Let them leave first (swarm leave there), or end it all the same:',
    command: 'npm run down -- --force',
  });
}

async function killDaemon(context: Context, marker: UpMarker): Promise<void> {
  if (!isSameProcess(marker.pid, marker.startTime)) return;
  process.kill(marker.pid, 'SIGKILL');
  await waitForEnd(context, marker.pid, marker.startTime);
}

/** A socket in a folder of our own outside the clone, which goes with its last one. */
function removeOutside(dir: string, socket: string): void {
  if (socket.startsWith(dir)) return;
  rmSync(socket, { force: true });
  try {
    rmdirSync(dirname(socket));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
  }
}
