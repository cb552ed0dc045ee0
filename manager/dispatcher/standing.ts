import { Liveness, type Task, TaskState } from '../../proto/index.ts';
import type { View } from '../store/view.ts';

/**
 * What a task is to load balancing. good: it gets its share. doubtful: its node is silent, so it gets
 * nothing new unless it is all that is left. draining: it keeps what it has. none: it is not reached.
 */
export type Standing = 'good' | 'doubtful' | 'draining' | 'none';

export function standingOf(view: View, task: Task): Standing {
  const status = view.table('taskStatus').get(task.id);
  if (task.nodeId === '' || status?.state !== TaskState.RUNNING) return 'none';
  const liveness = view.table('nodeStatus').get(task.nodeId)?.liveness ?? Liveness.UNKNOWN;
  if (liveness === Liveness.DOWN || liveness === Liveness.UNKNOWN) return 'none';
  const leaving = task.draining || task.desiredState > TaskState.RUNNING;
  // One that is not ready gets nothing new; connections that it still has are left to it.
  if (!status.ready && !leaving) return 'none';
  if (leaving || liveness === Liveness.LEAVING) return 'draining';
  return liveness === Liveness.SUSPECT ? 'doubtful' : 'good';
}
