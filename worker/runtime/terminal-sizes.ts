import type { TerminalSize } from '../../proto/index.ts';

/**
 * Gives a terminal one size after the other: two orders on their way at once may arrive in the other
 * order. Of sizes that come while one is being set only the last counts.
 */
export class TerminalSizes {
  readonly #set: (size: TerminalSize) => Promise<unknown>;
  #next: TerminalSize | undefined;
  #busy = false;

  /** `set` never has to be told twice; that it failed is nobody's business. */
  constructor(set: (size: TerminalSize) => Promise<unknown>) {
    this.#set = set;
  }
  /** Who does not know its size says zeros: nothing happens then. */
  resize(size: TerminalSize): void {
    if (size.columns === 0 || size.rows === 0) return;
    this.#next = size;
    if (!this.#busy) void this.#work();
  }
  async #work(): Promise<void> {
    this.#busy = true;
    for (let size = this.#next; size !== undefined; size = this.#next) {
      this.#next = undefined;
      await this.#set(size).catch(() => undefined);
    }
    this.#busy = false;
  }
}
