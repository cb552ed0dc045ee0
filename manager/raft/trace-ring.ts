import { type Trace, TraceLevel } from './core/index.ts';

const LINES_MAX = 1_000;

/** The core's last trace lines, for the report of a broken assertion. */
export class TraceRing implements Trace {
  readonly level = TraceLevel.Info;
  readonly #lines: string[] = [];
  #next = 0;

  write(_level: number, text: string): void {
    this.#lines[this.#next] = text;
    this.#next = (this.#next + 1) % LINES_MAX;
  }
  /** Oldest first. */
  lines(): string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
  }
}
