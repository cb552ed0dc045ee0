import { Liveness, type Task, TaskState } from '../../proto/index.ts';
import { inPieces } from '../../shared/slices.ts';
import type { AppliedEntry, Change, View } from '../store/view.ts';

/**
 * Waits until every ready node has taken a draining task out of its load balancing. Suspected nodes
 * are not waited for; the deadline in the task's row is the loop's.
 */
export class DrainTracker {
  readonly #waiting = new Map<string, number>();

  /** Starts anew from a whole state, in pieces. Entries may be observed before it has ended. */
  *rebuild(view: View): Generator<void, void> {
    this.#waiting.clear();
    yield* inPieces(view.table('task').all(), (task) => {
      if (isDraining(task)) this.#waiting.set(task.id, task.version);
    });
  }

  observe(entry: AppliedEntry): void {
    for (const change of entry.changes) {
      if (change.table !== 'task') continue;
      const { before, after } = change as Change<'task'>;
      if (after === undefined || !isDraining(after)) this.#waiting.delete(change.id);
      else if (before === undefined || !isDraining(before)) {
        this.#waiting.set(change.id, entry.index);
      }
    }
  }

  /**
   * Takes the tasks that all ready nodes have acknowledged. `acknowledged` says up to which index a
   * node has; undefined: it has no session.
   */
  take(view: View, acknowledged: (nodeId: string) => number | undefined): string[] {
    if (this.#waiting.size === 0) return [];
    let lowest = Number.POSITIVE_INFINITY;
    for (const status of view.table('nodeStatus').all()) {
      if (status.liveness !== Liveness.READY) continue;
      lowest = Math.min(lowest, acknowledged(status.id) ?? 0);
    }
    const done: string[] = [];
    for (const [id, index] of this.#waiting) if (index <= lowest) done.push(id);
    for (const id of done) this.#waiting.delete(id);
    return done;
  }
}

function isDraining(task: Task): boolean {
  return task.draining && task.desiredState <= TaskState.RUNNING;
}
