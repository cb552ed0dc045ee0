import { Empty, LocalService } from '../../proto/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { probeSocket } from '../connect.ts';
import type { Context } from '../context.ts';
import { hasState, stopDaemon, waitForEnd } from '../local-daemon.ts';
import { isSameProcess, processStartTime } from '../process-identity.ts';
import { startDevNode, withSession } from './cluster.ts';
import type { DevNode } from './marker.ts';

/** Ends a node's daemon in order. A daemon that runs no more is no error. */
export async function stopDevNode(
  context: Context,
  node: DevNode,
  withTasks: boolean,
  forget = false,
): Promise<void> {
  if ((await probeSocket(node.socket)) !== 'answers') return;
  await withSession(node, (session) => stopDaemon(context, session, { withTasks, forget }));
}

/** SIGKILL for the recorded daemon, and with `withTasks` for what it had running. */
export async function killDevNode(
  context: Context,
  node: DevNode,
  withTasks: boolean,
): Promise<boolean> {
  const running = isSameProcess(node.pid, node.startTime);
  const tasks = withTasks ? await taskProcesses(node) : [];
  if (running) {
    process.kill(node.pid, 'SIGKILL');
    await waitForEnd(context, node.pid, node.startTime);
  }
  for (const task of tasks) killTask(task.pid, task.startTime);
  return running;
}

interface TaskProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** The processes of the node's tasks, as its daemon names them now. */
async function taskProcesses(node: DevNode): Promise<readonly TaskProcess[]> {
  if ((await probeSocket(node.socket)) !== 'answers') return [];
  return withSession(node, async (session) => {
    const { tasks } = await session.read(LocalService.tasks, Empty.create());
    return tasks.flatMap(({ status }) => {
      const startTime = status === null ? undefined : processStartTime(status.pid);
      return status === null || startTime === undefined ? [] : [{ pid: status.pid, startTime }];
    });
  });
}

/** A task is the leader of its own group; nothing else is in that group. */
function killTask(pid: number, startTime: string): void {
  if (!isSameProcess(pid, startTime)) return;
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/**
 * Ends a node with everything it runs, for `swarm dev down`. The daemon alone knows its tasks, so a
 * dead one is started once more to end them. What fails is said, and the rest goes on.
 */
export async function endDevNode(context: Context, dir: string, node: DevNode): Promise<void> {
  try {
    const answers = (await probeSocket(node.socket)) === 'answers';
    if (!answers && hasState(node.stateDir)) await startDevNode(context, dir, node);
    await stopDevNode(context, node, true, true);
  } catch (error) {
    context.io.err(`WARNING: ${node.name}: ${messageOf(error)}\n`);
    await killDevNode(context, node, true);
  }
}
