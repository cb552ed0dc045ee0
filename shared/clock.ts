/**
 * Time comes in through constructors: the simulator owns it in tests, `SystemClock` (named only in
 * `daemon/` and `cli/`) in production. `monotonicMs` measures durations and never goes back;
 * `wallMs` is for people, certificates and cron.
 */
export interface Clock {
  monotonicMs(): number;
  wallMs(): number;
  /** Runs `fn` once, not before `delayMs`. Cancelling a fired timer does nothing. */
  setTimer(delayMs: number, fn: () => void): Timer;
}
export interface Timer {
  cancel(): void;
}

/** Resolves after `delayMs` of the clock's time. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(delayMs, resolve));
}

export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }
  wallMs(): number {
    return Date.now();
  }
  setTimer(delayMs: number, fn: () => void): Timer {
    const handle = setTimeout(fn, delayMs);
    return { cancel: () => clearTimeout(handle) };
  }
}

/** For tests: time stands still until `advance`. Timers fire in order of (due, creation). */
export class ManualClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #timers: { dueMs: number; order: number; fn: () => void }[] = [];
  readonly #wallStartMs: number;

  constructor(wallStartMs = 1_700_000_000_000) {
    this.#wallStartMs = wallStartMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  wallMs(): number {
    return this.#wallStartMs + Math.floor(this.#nowMs);
  }
  setTimer(delayMs: number, fn: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#sequence++, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        const at = this.#timers.indexOf(timer);
        if (at >= 0) this.#timers.splice(at, 1);
      },
    };
  }
  /** Moves time on by `ms`, firing what falls due on the way at its own moment. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.dueMs > endMs) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fn();
    }
    this.#nowMs = endMs;
  }
  /** When the next timer is due, in monotonic milliseconds. */
  nextDueMs(): number | undefined {
    return this.#earliest()?.dueMs;
  }
  #earliest(): { dueMs: number; order: number; fn: () => void } | undefined {
    let best: { dueMs: number; order: number; fn: () => void } | undefined;
    for (const timer of this.#timers) {
      if (
        !best ||
        timer.dueMs < best.dueMs ||
        (timer.dueMs === best.dueMs && timer.order < best.order)
      )
        best = timer;
    }
    return best;
  }
}

/**
 * Wall time as gRPC itself reads it: its deadlines are absolute and compared with `Date.now()`, so an
 * injected clock could only disagree. Never for a decision.
 */
export function libraryWallMs(): number {
  return Date.now();
}
