const KEPT = 256;

/** How long the last synced writes took. */
export class WriteLatency {
  readonly #lastMs = new Float64Array(KEPT);
  #count = 0;

  add(ms: number): void {
    this.#lastMs[this.#count++ % KEPT] = ms;
  }

  /** Of at most 256 writes; zeros before the first one. Sorts them: not for hot paths. */
  summary(): {
    readonly writes: number;
    readonly p50Micros: number;
    readonly p99Micros: number;
    readonly maxMicros: number;
  } {
    const writes = Math.min(this.#count, KEPT);
    const sorted = this.#lastMs.slice(0, writes).sort();
    const at = (share: number) =>
      Math.round(1_000 * (sorted[Math.min(writes - 1, Math.floor(share * writes))] ?? 0));
    return { writes, p50Micros: at(0.5), p99Micros: at(0.99), maxMicros: at(1) };
  }
}
