import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Io } from '../io.ts';
import type { Environment } from '../parse/env.ts';
import { RecordedTerminal } from './recorded-terminal.ts';

/** An Io that keeps what is printed. Time stands still unless the test moves it. */
export class RecordedIo implements Io {
  readonly clock = new ManualClock(Date.UTC(2026, 0, 31, 12));
  readonly uid = 1000;
  readonly isTerminal = false;
  readonly columns = 100;
  readonly env: Environment;
  readonly files: { readonly [path: string]: string };
  stdin = '';
  readonly terminal = new RecordedTerminal();
  readonly interrupt = new AbortController();
  #out = '';
  #err = '';

  constructor(env: Environment = {}, files: { readonly [path: string]: string } = {}) {
    this.env = env;
    this.files = files;
  }
  readonly out = (text: string): void => {
    this.#out += text;
  };
  readonly err = (text: string): void => {
    this.#err += text;
  };
  get printed(): string {
    return this.#out;
  }
  get errors(): string {
    return this.#err;
  }
  async readStdin(): Promise<string> {
    return this.stdin;
  }
  /** Answers to `ask`, in order. */
  typed: string[] = [];
  async ask(question: string, otherwise: string): Promise<string> {
    if (!this.terminal.hasKeyboard)
      throw new SwarmError('INVALID_ARGUMENT', 'no terminal', { advice: otherwise });
    this.err(question);
    return this.typed.shift() ?? '';
  }
  async readFile(path: string): Promise<string> {
    const text = this.files[path];
    if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' });
    return text;
  }
  onInterrupt(): AbortSignal {
    return this.interrupt.signal;
  }
}
