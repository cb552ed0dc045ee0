import type { Clock } from '../../../shared/clock.ts';

/** What waits for a quiet moment waits no longer than this. */
const PATIENCE_MS = 5_000;

/**
 * Counts the containers that are just being made and started. Clearing away what has ended competes
 * with them for the same processors, and nobody waits for that: it goes when they are done.
 */
export class Starts {
  readonly #clock: Clock;
  #running = 0;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  async run<T>(fn: () => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await fn();
    } finally {
      this.#running--;
      if (this.#running === 0) this.#release();
    }
  }
  /** Resolves when none is under way, or after a while all the same. */
  async quiet(): Promise<void> {
    if (this.#running === 0 || this.#closed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#waiting.delete(done);
        resolve();
      };
      const timer = this.#clock.setTimer(PATIENCE_MS, done);
      this.#waiting.add(done);
    });
  }
  /** Nobody waits any more. */
  close(): void {
    this.#closed = true;
    this.#release();
  }
  #release(): void {
    for (const done of [...this.#waiting]) done();
  }
}
