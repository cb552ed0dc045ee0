import { PassThrough } from 'node:stream';
import { TerminalSize } from '../../proto/index.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** A terminal that a test types on and reads. */
export class RecordedTerminal implements Terminal {
  hasKeyboard = true;
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly errors = new PassThrough();
  /** True while keys come as they are pressed. */
  isRaw = false;
  wasRaw = false;
  #resized: ((size: TerminalSize) => void) | undefined;
  #size = TerminalSize.create({ columns: 100, rows: 40 });

  size(): TerminalSize {
    return this.#size;
  }
  resize(columns: number, rows: number): void {
    this.#size = TerminalSize.create({ columns, rows });
    this.#resized?.(this.#size);
  }
  onResize(fn: (size: TerminalSize) => void): () => void {
    this.#resized = fn;
    return () => {
      this.#resized = undefined;
    };
  }
  raw(): () => void {
    this.isRaw = true;
    this.wasRaw = true;
    return () => {
      this.isRaw = false;
    };
  }
  /** As a signal that somebody sends. */
  signal: (name: string) => void = () => undefined;
  onSignal(fn: (name: string) => void): () => void {
    this.signal = fn;
    return () => {
      this.signal = () => undefined;
    };
  }
  stopReading(): void {
    this.input.destroy();
  }
  get printed(): string {
    return (this.output.read() as Buffer | null)?.toString('utf8') ?? '';
  }
  get complained(): string {
    return (this.errors.read() as Buffer | null)?.toString('utf8') ?? '';
  }
}
