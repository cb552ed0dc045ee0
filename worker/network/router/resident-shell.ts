import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Io, OpenProcess, RunRequest, RunResult } from '../../io.ts';

/** It ends when nothing was run for this long. */
const IDLE_MS = 2_000;
/** What a shell reads from a text of its own without starting another process for it. */
const INPUT_BYTES_MAX = 60_000;

type Request = Required<Pick<RunRequest, 'env' | 'input'>> & Omit<RunRequest, 'cwd'>;

/** A shell that was killed tells 128 and the signal's number; less: it has ended by itself. */
const KILLED = 128;

/**
 * Runs programs from a small shell that stays for a while. To start a process costs a daemon of 200 MB
 * milliseconds, most of them for copying the tables of its memory; it costs a shell next to nothing.
 * One that lives in a network namespace also saves every program the way into it.
 */
export class ResidentShell {
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #network: string | undefined;
  /** No program writes this by chance. */
  readonly #mark = `end-${randomBytes(12).toString('hex')}`;
  #process: OpenProcess | undefined;
  #running: ((result: RunResult | 'ended by itself') => void) | undefined;
  #output: Buffer[] = [];
  #idle: Timer | undefined;

  /** `network`: the namespace that programs run in, by its name; this process's own if undefined. */
  constructor(io: Io, clock: Clock, network?: string) {
    this.#io = io;
    this.#clock = clock;
    this.#network = network;
  }
  /** It runs something: what comes now is started as ever. */
  get isBusy(): boolean {
    return this.#running !== undefined;
  }
  /** Like `Io.run`. What comes while something runs, or reads very much, is started as ever. */
  run(request: Request): Promise<RunResult> {
    const alone = (): Promise<RunResult> => this.#io.run({ ...request, ...this.#inside(request) });
    if (this.#running !== undefined || request.input.length > INPUT_BYTES_MAX) return alone();
    this.#idle?.cancel();
    const shell = this.#process ?? this.#open(request.env);
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(request.timeoutMs, () => {
        this.#end({ code: -1, output: '', timedOut: true });
      });
      this.#running = (result) => {
        timer.cancel();
        this.#running = undefined;
        if (result === 'ended by itself') resolve(alone());
        else resolve({ ...result, output: result.output.slice(0, request.outputBytesMax) });
      };
      this.#output = [];
      shell.stdin.write(this.#lineOf(request));
    });
  }

  #inside({ command, args }: Pick<Request, 'command' | 'args'>) {
    if (this.#network === undefined) return { command, args };
    return { command: 'nsenter', args: [`--net=/run/netns/${this.#network}`, command, ...args] };
  }
  #open(env: { readonly [key: string]: string }): OpenProcess {
    const program = this.#inside({ command: 'sh', args: ['-s'] });
    const shell = this.#io.open({ ...program, env, cwd: '/' });
    this.#process = shell;
    shell.stdout.on('data', (chunk: Buffer) => this.#take(shell, chunk));
    shell.stderr.resume();
    shell.notes.resume();
    const ended = (code: number): void => {
      if (this.#process !== shell) return;
      const isKilled = this.#network === undefined || code >= KILLED;
      const killed = { code: -1, output: 'the shell has ended', timedOut: false };
      this.#end(isKilled ? killed : 'ended by itself');
    };
    shell.exit.then(ended, () => ended(KILLED));
    return shell;
  }
  /**
   * One command, what it reads, and behind its output the mark with its exit code. A shell whose
   * namespace is not the one of that name any more ends before it.
   */
  #lineOf({ command, args, input }: Request): string {
    const words = [command, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const text = input === '' || input.endsWith('\n') ? input : `${input}\n`;
    const name = this.#network;
    const check =
      name === undefined ? '' : `[ /proc/self/ns/net -ef /run/netns/${name} ] || exit 1\n`;
    const told = `printf '\\n%s %s\\n' ${this.#mark} $?`;
    return `${check}${words} 2>&1 3>&- <<'${this.#mark}'\n${text}${this.#mark}\n${told}\n`;
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
  #end(result: RunResult | 'ended by itself' | undefined): void {
    const shell = this.#process;
    this.#process = undefined;
    this.#idle?.cancel();
    const timedOut = typeof result === 'object' && result.timedOut;
    if (shell !== undefined && timedOut && shell.pid > 0) this.#io.kill(-shell.pid, 'SIGKILL');
    shell?.stdin.end();
    if (result !== undefined) this.#running?.(result);
  }
}
