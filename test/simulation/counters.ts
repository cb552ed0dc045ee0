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
  add(other: Counters): void {
    for (const [name, count] of other.#counts) this.count(name, count);
  }
  /** One line each, by name. */
  lines(): string[] {
    const names = [...this.#counts.keys()].sort();
    return names.map((name) => `${String(this.#counts.get(name)).padStart(10)}  ${name}`);
  }
}
