import type { Readable, Writable } from 'node:stream';

/** In characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Standard input and output as streams of bytes, and the terminal that they may be. */
export interface Terminal {
  /** True when standard input is a terminal. */
  readonly hasKeyboard: boolean;
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  /** Zeros where standard output is no terminal. */
  size(): Size;
  /** Returns what ends it. */
  onResize(fn: (size: Size) => void): () => void;
  /**
   * From now on each key comes as it is pressed, Ctrl-C too, and nothing is echoed. Returns what
   * undoes it; any other end of the program undoes it as well.
   */
  raw(): () => void;
  /** Signals that end a program come here instead, by name. Returns what ends it. */
  onSignal(fn: (name: string) => void): () => void;
  /** Nothing more is read: the program may end although somebody could still type. */
  stopReading(): void;
}
