import type { Io } from '../io.ts';
import { formatBytes } from '../parse/bytes.ts';

const EVERY_MS = 200;

/** Says how far a transfer is: over itself, on a terminal only. */
export class ByteCounter {
  readonly #io: Io;
  readonly #what: string;
  readonly #total: number | undefined;
  #bytes = 0;
  #saidMs = Number.NEGATIVE_INFINITY;
  #said = false;

  constructor(io: Io, what: string, total?: number) {
    this.#io = io;
    this.#what = what;
    this.#total = total;
  }
  add(bytes: number): void {
    this.#bytes += bytes;
    const nowMs = this.#io.clock.monotonicMs();
    if (!this.#io.isTerminal || nowMs - this.#saidMs < EVERY_MS) return;
    this.#saidMs = nowMs;
    this.#said = true;
    const of = this.#total === undefined ? '' : ` of ${formatBytes(this.#total)}`;
    this.#io.err(`\r\x1b[2K${this.#what} ${formatBytes(this.#bytes)}${of}`);
  }
  end(): void {
    if (this.#said) this.#io.err('\r\x1b[2K');
  }
}
