import { TaskState } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { CLUSTER_KEY } from '../../store/schema.ts';
import { type Entry, isOver } from '../task-facts.ts';
import type { Turn } from '../turn.ts';

/** Stage 5: of each slot's ended tasks the newest are kept, as many as the cluster wants. */
export function reaperStage(turn: Turn): void {
  const cluster = turn.draft.table('cluster').get(CLUSTER_KEY);
  const limit = cluster?.spec?.taskHistoryLimit ?? DEFAULTS.taskHistoryLimit;
  for (const { service, tasks } of turn.histories) {
    if (tasks.length <= 1) continue;
    const attempts = service?.spec?.task?.restart?.maxAttempts ?? 0;
    reap(turn, tasks, attempts > 0 ? attempts + 1 : limit);
  }
}

function reap(turn: Turn, tasks: Entry[], keep: number): void {
  const last = tasks.at(-1);
  const old = tasks.filter(
    (entry) => entry !== last && entry.task.desiredState === TaskState.SHUTDOWN && isOver(entry),
  );
  for (const entry of old.slice(0, Math.max(0, old.length - keep))) {
    if (turn.isFull()) return;
    turn.remove(entry);
  }
}
