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

/** Ports that no node has for this long count as taken: until then a former owner may let go. */
const TAKEN_MS = 3_000;
/** A node that has told nothing about the ports for this long is named and not waited for. */
const BEHIND_MS = 10_000;
/** The cluster's own deadline for a task of a rollout comes first. */
const ROLLOUT_SLACK_MS = 10_000;
/** A slot whose task ended this often while we looked is not waited for any longer. */
const ENDS_MAX = 5;

/** What one message of progress means for who waits. */
export type Verdict = 'converged' | 'failed' | 'again';

/** Decides when a service has converged, and when waiting on is useless: `giveUp` is called then. */
export class Judge {
  readonly #clock: Clock;
  readonly #giveUp: () => void;
  #timer: Timer | undefined;
  #limitMs = 0;
  #portTimer: Timer | undefined;
  #portLimitMs = 0;
  #mostUp = -1;
  /** Tasks that ended while we looked, by slot, and those that had ended before. */
  readonly #ended = new Map<string, Set<string>>();
  #endedBefore: ReadonlySet<string> | undefined;
  #last: ServiceProgress | undefined;
  gaveUp = false;
  /** Converged, but for these nodes: they have not told whether they listen on its ports. */
  silent: readonly string[] = [];
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
    const isComplete = progress.converged || progress.settleLeftMs > 0;
    if (!isComplete) return this.#wait(progress);
    return this.#arePortsTold(progress) && progress.converged ? 'converged' : 'again';
  }
  /** Every node has told of its ports, and somebody listens on them. Else that has its own deadline. */
  #arePortsTold(progress: ServiceProgress): boolean {
    const isBehind = progress.behind.length > 0;
    if (!isBehind && !isTaken(progress)) {
      this.#stopPorts();
      return true;
    }
    const limitMs = isBehind ? BEHIND_MS : TAKEN_MS;
    if (this.#portLimitMs === limitMs) return false;
    this.#stopPorts();
    this.#portLimitMs = limitMs;
    this.#portTimer = this.#clock.setTimer(limitMs, () => this.#endPorts());
    return false;
  }
  #endPorts(): void {
    const { listenFailures, behind } = this.#last!;
    this.silent = behind;
    if (!isTaken(this.#last!)) {
      this.#giveUp();
      return;
    }
    const reasons = listenFailures.map((failure) => `port ${failure.port}: ${failure.reason}`);
    const silent = behind.map((name) => `${name} has not told yet whether it listens`);
    this.#end(`No node listens on a published port:\n  ${[...reasons, ...silent].join('\n  ')}`);
  }
  #stopPorts(): void {
    this.#portTimer?.cancel();
    this.#portTimer = undefined;
    this.#portLimitMs = 0;
  }
  stop(): void {
    this.#stopPorts();
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  /** The deadline begins anew with each task more that is up: restarts alone are no progress. */
  #wait(progress: ServiceProgress, removal = false): Verdict {
    this.#stopPorts();
    const ending = removal ? undefined : this.#countEnds(progress.tasks);
    if (ending !== undefined) {
      this.reason = ending;
      return 'failed';
    }
    const up = progress.tasks.filter((task) => task.wishedRevision && isUp(task.state)).length;
    const limitMs = deadlineMs(progress.service);
    // The first progress may come before the cluster has begun to roll out: then its deadline counts.
    const grows = limitMs > this.#limitMs;
    if (up > this.#mostUp || grows || this.#timer === undefined) {
      this.#mostUp = Math.max(up, this.#mostUp);
      this.#limitMs = limitMs;
      this.#timer?.cancel();
      this.#timer = this.#clock.setTimer(limitMs, () =>
        this.#end(`There was no progress for ${formatDurationMs(limitMs)}.`),
      );
    }
    return 'again';
  }
  /** Says so when one slot does not stay up: also where its tasks only exit well. */
  #countEnds(tasks: readonly TaskProgress[]): string | undefined {
    this.#endedBefore ??= new Set(tasks.flatMap(({ ended }) => ended.map(({ id }) => id)));
    for (const { slot, nodeName, ended } of tasks) {
      const name = slot > 0 ? String(slot) : nodeName;
      const ids = this.#ended.get(name) ?? new Set<string>();
      this.#ended.set(name, ids);
      for (const { id } of ended) if (!this.#endedBefore.has(id)) ids.add(id);
      if (ids.size >= ENDS_MAX)
        return `Its task ${name} ended ${ids.size} times: ${ended.at(-1)?.message}. It goes on being restarted.`;
    }
    return undefined;
  }
  #end(reason: string): void {
    this.reason = reason;
    this.gaveUp = true;
    this.#giveUp();
  }
}

function isTaken({ published, listenFailures }: ServiceProgress): boolean {
  return !published && listenFailures.length > 0;
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
