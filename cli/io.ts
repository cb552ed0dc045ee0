import type { Clock } from '../shared/clock.ts';
import type { Environment } from './parse/env.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The terminal and the process around the command line: real in `main.ts`, recorded in tests. */
export interface Io {
  readonly clock: Clock;
  readonly env: Environment;
  readonly uid: number;
  /** True when standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; 80 where there is none. */
  readonly columns: number;
  /** The same input and output byte by byte. */
  readonly terminal: Terminal;
  out(text: string): void;
  err(text: string): void;
  readStdin(): Promise<string>;
  readFile(path: string): Promise<string>;
  /**
   * Asks on the terminal; `hidden`: what is typed is not shown. Rejects where there is none, with the
   * advice `otherwise`.
   */
  ask(question: string, otherwise: string, how?: 'hidden'): Promise<string>;
  /** From now on Ctrl-C aborts this instead of ending the program; the second one ends it. */
  onInterrupt(): AbortSignal;
}
