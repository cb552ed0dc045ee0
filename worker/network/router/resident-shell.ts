import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Io, OpenProcess, RunRequest, RunResult } from '../../runtime/io.ts';

/** It ends when nothing was run for this long. */
const IDLE_MS = 2_000;
/** What a shell reads from a text of its own without starting another process for it. */
const INPUT_BYTES_MAX = 60_000;

type Request = Required<Pick<RunRequest, 'env' | 'input'>> & Omit<RunRequest, 'cwd'>;

/**
 * Runs programs from a small shell that stays for a while. To start a process costs a daemon of 200 MB
 * milliseconds, most of them for copying the tables of its memory; it costs a shell next to nothing.
 */
export class ResidentShell {
  readonly #io: Io;
  readonly #clock: Clock;
  /** No program writes this by chance. */
  readonly #mark = `end-${randomBytes(12).toString('hex')}`;
  #process: OpenProcess | undefined;
  #running: ((result: RunResult) => void) | undefined;
  #output: Buffer[] = [];
  #idle: Timer | undefined;

  constructor(io: Io, clock: Clock) {
    this.#io = io;
    this.#clock = clock;
  }
  /** Like `Io.run`. What comes while something runs, or reads very much, is started as ever. */
  run(request: Request): Promise<RunResult> {
    if (this.#running !== undefined || request.input.length > INPUT_BYTES_MAX)
      return this.#io.run(request);
    this.#idle?.cancel();
    const shell = this.#process ?? this.#open(request.env);
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(request.timeoutMs, () => {
        this.#end({ code: -1, output: '', timedOut: true });
      });
      this.#running = (result) => {
        timer.cancel();
        this.#running = undefined;
        resolve({ ...result, output: result.output.slice(0, request.outputBytesMax) });
      };
      this.#output = [];
      shell.stdin.write(this.#lineOf(request));
    });
  }

  #open(env: { readonly [key: string]: string }): OpenProcess {
    const shell = this.#io.open({ command: 'sh', args: ['-s'], env, cwd: '/' });
    this.#process = shell;
    shell.stdout.on('data', (chunk: Buffer) => this.#take(shell, chunk));
    shell.stderr.resume();
    shell.notes.resume();
    const ended = (): void => {
      if (this.#process !== shell) return;
      this.#end({ code: -1, output: 'the shell has ended', timedOut: false });
    };
    shell.exit.then(ended, ended);
    return shell;
  }
  /** One command, what it reads, and behind its output the mark with its exit code. */
  #lineOf({ command, args, input }: Request): string {
    const words = [command, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const text = input === '' || input.endsWith('\n') ? input : `${input}\n`;
    return `${words} 2>&1 3>&- <<'${this.#mark}'\n${text}${this.#mark}\nprintf '\\n%s %s\\n' ${this.#mark} $?\n`;
  }
  #take(shell: OpenProcess, chunk: Buffer): void {
    if (this.#process !== shell) return;
    this.#output.push(chunk);
    // Nothing comes behind the mark.
    if (!chunk.includes('\n', chunk.length - 1)) return;
    const text = Buffer.concat(this.#output).toString('utf8');
    const at = text.lastIndexOf(`\n${this.#mark} `);
    if (at < 0) return;
    const code = Number(text.slice(at + this.#mark.length + 2));
    this.#idle = this.#clock.setTimer(IDLE_MS, () => this.#end(undefined));
    this.#running?.({ code, output: text.slice(0, at), timedOut: false });
  }
  #end(result: RunResult | undefined): void {
    const shell = this.#process;
    this.#process = undefined;
    this.#idle?.cancel();
    if (shell !== undefined && result?.timedOut === true && shell.pid > 0)
      this.#io.kill(-shell.pid, 'SIGKILL');
    shell?.stdin.end();
    if (result !== undefined) this.#running?.(result);
  }
}
