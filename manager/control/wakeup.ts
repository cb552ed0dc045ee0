/** One waiting loop that others wake. Wakes between two waits are not lost and not counted. */
export class Wakeup {
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => this.wake();
  #awake = false;
  #resolve: (() => void) | undefined;

  /** An abort of `signal` wakes for good. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  wake(): void {
    this.#awake = true;
    this.#resolve?.();
    this.#resolve = undefined;
  }

  /** Resolves at the next wake, at once if there was one since the last wait. */
  async wait(): Promise<void> {
    if (!this.#awake && !this.#signal.aborted)
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    this.#awake = false;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.wake();
  }
}
