import type { Clock, Timer } from '../../shared/clock.ts';
import type { Timing } from './timing.ts';

/**
 * Ticks of raft time. A late tick counts once, however late: a burst would start elections that
 * nobody needs. One that is very late is reported first, because the process stood still.
 */
export class Ticker {
  readonly #clock: Clock;
  readonly #onTick: () => void;
  readonly #onPause: (lateMs: number) => void;
  #timing: Timing;
  #timer: Timer | undefined;

  constructor(clock: Clock, timing: Timing, onTick: () => void, onPause: (lateMs: number) => void) {
    this.#clock = clock;
    this.#timing = timing;
    this.#onTick = onTick;
    this.#onPause = onPause;
  }

  start(): void {
    const dueMs = this.#clock.monotonicMs() + this.#timing.tickMs;
    this.#timer = this.#clock.setTimer(this.#timing.tickMs, () => {
      const lateMs = this.#clock.monotonicMs() - dueMs;
      this.start();
      if (lateMs > this.#timing.pauseMs) this.#onPause(lateMs);
      this.#onTick();
    });
  }
  stop(): void {
    this.#timer?.cancel();
  }
  /** Takes effect with the next tick. */
  setTiming(timing: Timing): void {
    this.#timing = timing;
  }
}
