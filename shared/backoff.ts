import type { Random } from './random.ts';

/** Exponential back-off with full jitter in its upper half; `reset` after a success. */
export class Backoff {
  readonly #random: Random;
  readonly #minMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(random: Random, minMs: number, maxMs: number) {
    this.#random = random;
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#nextMs = minMs;
  }
  /** How long to wait before the next attempt. */
  nextDelayMs(): number {
    const baseMs = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, baseMs * 2);
    return baseMs / 2 + this.#random.below(Math.ceil(baseMs / 2) + 1);
  }
  reset(): void {
    this.#nextMs = this.#minMs;
  }
}
