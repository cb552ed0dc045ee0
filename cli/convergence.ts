import {
  RolloutState,
  type ServiceProgress,
  type ServiceView,
  type TaskProgress,
  TaskState,
} from '../proto/index.ts';
import type { Clock, Timer } from '../shared/clock.ts';
import { DEFAULTS } from '../shared/limits.ts';
import { formatDurationMs } from './parse/duration.ts';

/** After this long without a node that listens, the ports count as taken. */
const LISTEN_MS = 3_000;
/** The cluster's own deadline for a task of a rollout comes first. */
const ROLLOUT_SLACK_MS = 10_000;
/** A slot whose task failed this often while we looked is not waited for any longer. */
const FAILURES_MAX = 5;

/** What one message of progress means for who waits. */
export type Verdict = 'converged' | 'failed' | 'again';

/** Decides when a service has converged, and when waiting on is useless: `giveUp` is called then. */
export class Judge {
  readonly #clock: Clock;
  readonly #giveUp: () => void;
  #timer: Timer | undefined;
  #portTimer: Timer | undefined;
  #mostUp = -1;
  readonly #failures = new Map<string, Set<string>>();
  #last: ServiceProgress | undefined;
  gaveUp = false;
  /** Converged, but for nodes that do not listen yet. */
  late = false;
  reason = '';

  constructor(clock: Clock, giveUp: () => void) {
    this.#clock = clock;
    this.#giveUp = giveUp;
  }
  judge(progress: ServiceProgress, removal: boolean): Verdict {
    this.#last = progress;
    if (removal) return progress.removed ? 'converged' : this.#wait(progress, true);
    if (progress.removed) {
      this.reason = 'It was removed meanwhile.';
      return 'failed';
    }
    if (progress.failed) {
      this.reason = progress.message;
      return 'failed';
    }
    if (!progress.converged) return this.#wait(progress);
    const isTaken = !progress.published && progress.listenFailures.length > 0;
    if (!isTaken && progress.behind.length === 0) return 'converged';
    // Some nodes said that they cannot listen, others nothing yet: they may still say that they do.
    this.#portTimer ??= this.#clock.setTimer(LISTEN_MS, () => this.#judgePorts());
    return 'again';
  }
  /** A node that is slow to listen is no reason to fail; ports that no node can have are. */
  #judgePorts(): void {
    const last = this.#last;
    const failures = last?.published === false ? last.listenFailures : [];
    if (failures.length === 0) {
      this.late = true;
      this.#giveUp();
      return;
    }
    const reasons = failures.map((f) => `port ${f.port}: ${f.reason}`);
    this.#end(`No node listens on a published port:\n  ${reasons.join('\n  ')}`);
  }
  stop(): void {
    this.#timer?.cancel();
    this.#portTimer?.cancel();
    this.#timer = undefined;
    this.#portTimer = undefined;
  }
  /** The deadline begins anew with each task more that is up: restarts alone are no progress. */
  #wait(progress: ServiceProgress, removal = false): Verdict {
    const failing = removal ? undefined : this.#countFailures(progress.tasks);
    if (failing !== undefined) {
      this.reason = failing;
      return 'failed';
    }
    const up = progress.tasks.filter((task) => task.wishedRevision && isUp(task.state)).length;
    if (up > this.#mostUp || this.#timer === undefined) {
      this.#mostUp = Math.max(up, this.#mostUp);
      this.#timer?.cancel();
      const limitMs = deadlineMs(progress.service);
      this.#timer = this.#clock.setTimer(limitMs, () =>
        this.#end(`There was no progress for ${formatDurationMs(limitMs)}.`),
      );
    }
    return 'again';
  }
  /** Says so when one slot fails again and again. */
  #countFailures(tasks: readonly TaskProgress[]): string | undefined {
    for (const task of tasks) {
      if (task.state !== TaskState.FAILED && task.state !== TaskState.REJECTED) continue;
      const slot = task.slot > 0 ? String(task.slot) : task.nodeName;
      const ids = this.#failures.get(slot) ?? new Set<string>();
      this.#failures.set(slot, ids.add(task.id));
      if (ids.size < FAILURES_MAX) continue;
      const why = task.message === '' ? '' : `: ${task.message}`;
      return `Its task ${slot} failed ${ids.size} times${why}. It goes on being restarted.`;
    }
    return undefined;
  }
  #end(reason: string): void {
    this.reason = reason;
    this.gaveUp = true;
    this.#giveUp();
  }
}

function isUp(state: TaskState): boolean {
  return state === TaskState.RUNNING || state === TaskState.COMPLETE;
}

function deadlineMs(view: ServiceView | null): number {
  const { update, rollback } = view?.service?.spec ?? {};
  const rollout = view?.state?.rollout?.state;
  const isBack = rollout === RolloutState.ROLLBACK_STARTED;
  const config = isBack ? rollback : update;
  const limitMs = config?.progressDeadlineMs || DEFAULTS.updateProgressDeadlineMs;
  // A rollout is ended by the cluster, which says why: only if it does not, we do.
  const isRolling = isBack || rollout === RolloutState.UPDATING;
  return isRolling ? limitMs + (config?.monitorMs ?? 0) + ROLLOUT_SLACK_MS : limitMs;
}
