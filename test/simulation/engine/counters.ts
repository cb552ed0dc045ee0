/** How often each fault fired and each rare branch was taken. */
export class Counters {
  readonly #counts = new Map<string, number>();
  /** Told of everything that is counted. */
  trace: ((name: string) => void) | undefined;

  count(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
    this.trace?.(name);
  }
  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
  record(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
