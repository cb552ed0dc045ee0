import { Liveness, type Task, TaskState } from '../../proto/index.ts';
import type { View } from '../store/view.ts';

/**
 * What a task is to load balancing. good: it gets its share. doubtful: its node is silent, so it gets
 * nothing new unless it is all that is left. unready: it runs, and gets nothing new until it is ready.
 * draining: it keeps what it has, and ends. none: it is not reached.
 */
export type Standing = 'good' | 'doubtful' | 'unready' | 'draining' | 'none';

export function standingOf(view: View, task: Task): Standing {
  const status = view.table('taskStatus').get(task.id);
  if (task.nodeId === '' || status?.state !== TaskState.RUNNING) return 'none';
  const liveness = view.table('nodeStatus').get(task.nodeId)?.liveness ?? Liveness.UNKNOWN;
  if (liveness === Liveness.DOWN || liveness === Liveness.UNKNOWN) return 'none';
  const leaving = task.draining || task.desiredState > TaskState.RUNNING;
  // Nodes keep the way to it: its open connections go on, and it can be reached once it is ready.
  if (!status.ready && !leaving) return 'unready';
  if (leaving || liveness === Liveness.LEAVING) return 'draining';
  return liveness === Liveness.SUSPECT ? 'doubtful' : 'good';
}
