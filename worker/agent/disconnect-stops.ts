import { OnDisconnect, TaskState } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { TaskRunner } from './task-runner.ts';

/** Stops tasks that asked for it once no leader has answered for their time. */
export class DisconnectStops {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  /** No leader answers from now on. */
  arm(runners: readonly TaskRunner[]): void {
    for (const runner of runners) {
      const { spec } = runner.task;
      if (spec?.onDisconnect !== OnDisconnect.STOP) continue;
      // Not before the managers take this node for lost: a short break stops nothing.
      const afterMs = spec.onDisconnectAfterMs || DEFAULTS.nodeGraceMs;
      const timer = this.#clock.setTimer(afterMs, () => {
        this.#timers.delete(timer);
        runner.stopAs(TaskState.SHUTDOWN, 'stopped: this node lost its managers');
      });
      this.#timers.add(timer);
    }
  }
  /** A leader answers. */
  disarm(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}
