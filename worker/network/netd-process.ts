import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, closeSync, openSync, renameSync, statSync } from 'node:fs';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';

export interface NetdCommand {
  /** The Node.js binary, as a rule `process.execPath`. */
  readonly execPath: string;
  /** Everything after it: Node's own flags, netd's script, netd's arguments. */
  readonly args: readonly string[];
}

/** What netd needs of its surroundings; tokens and systemd's sockets are not for it. */
const ENVIRONMENT = ['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR', 'XDG_RUNTIME_DIR', 'NODE_OPTIONS'];

/** Starts netd processes, one at a time. They outlive this process. */
export class NetdProcess {
  readonly #command: NetdCommand;
  readonly #logFile: string;
  readonly #log: Log;
  #child: ChildProcess | undefined;

  constructor(command: NetdCommand, logFile: string, log: Log) {
    this.#command = command;
    this.#logFile = logFile;
    this.#log = log;
  }
  /** Whether one that was started here still runs. */
  get running(): boolean {
    return this.#child !== undefined;
  }
  /** Starts one in its own session; a failure is logged and shows in `running`. */
  start(): void {
    const { execPath, args } = this.#command;
    let output: number | undefined;
    try {
      output = this.#openLog();
      const child = spawn(execPath, args, {
        detached: true,
        cwd: '/',
        env: environment(),
        stdio: ['ignore', output, output],
      });
      this.#child = child;
      child.on('error', (error) => this.#ended(child, error.message));
      child.on('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`));
      child.unref();
      this.#log.info({ pid: child.pid, output: this.#logFile }, 'netd was started');
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'netd could not be started');
    } finally {
      if (output !== undefined) closeSync(output);
    }
  }
  /** Any netd of this node, also one that another daemon has started. */
  end(pid: number): void {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      this.#log.warn({ pid, error: messageOf(error) }, 'netd could not be ended');
    }
  }
  kill(): void {
    this.#child?.kill('SIGKILL');
  }
  #ended(child: ChildProcess, how: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#log.warn({ pid: child.pid, how }, 'netd ended');
  }
  #openLog(): number {
    const bytes = statSync(this.#logFile, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes > LIMITS.logFileBytesMax) renameSync(this.#logFile, `${this.#logFile}.1`);
    const output = openSync(this.#logFile, 'a', 0o600);
    chmodSync(this.#logFile, 0o600);
    return output;
  }
}

function environment(): NodeJS.ProcessEnv {
  const kept = ENVIRONMENT.filter((name) => process.env[name] !== undefined);
  return Object.fromEntries(kept.map((name) => [name, process.env[name]]));
}
