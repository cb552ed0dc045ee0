import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../shared/clock.ts';
import { RuntimeError } from '../runtime.ts';
import type { DialAnswer, DialOrder } from './dial.ts';

/** How the helper program is started. */
export interface InsideCommand {
  /** The Node.js binary, as a rule `process.execPath`. */
  readonly execPath: string;
  /** Everything after it: Node's own flags and the script. */
  readonly args: readonly string[];
}

export interface DialersDeps {
  readonly clock: Clock;
  readonly command: InsideCommand;
}

/** A helper that nobody asked for so long ends: the next connection starts another one. */
const IDLE_MS = 15_000;

/**
 * Connections from inside network namespaces. A process can't change its namespace from Node.js, so a
 * small one is started there for as long as it is needed; its connections become ours and it is not in
 * their way.
 */
export class Dialers {
  readonly #deps: DialersDeps;
  readonly #byNamespace = new Map<string, Dialer>();

  constructor(deps: DialersDeps) {
    this.#deps = deps;
  }
  /** Throws RuntimeError REFUSED when nothing answers at the port on any of the hosts. */
  connect(namespace: string, hosts: readonly string[], port: number): Promise<Socket> {
    let dialer = this.#byNamespace.get(namespace);
    if (dialer === undefined) {
      dialer = new Dialer(this.#deps, namespace, () => this.#byNamespace.delete(namespace));
      this.#byNamespace.set(namespace, dialer);
    }
    return dialer.connect(hosts, port);
  }
  close(): void {
    for (const dialer of this.#byNamespace.values()) dialer.end();
  }
}

class Dialer {
  readonly #deps: DialersDeps;
  readonly #child: ChildProcess;
  readonly #forget: () => void;
  readonly #waiting = new Map<number, (answer: DialAnswer, socket: Socket | undefined) => void>();
  #sequence = 0;
  #idle: Timer | undefined;

  constructor(deps: DialersDeps, namespace: string, forget: () => void) {
    this.#deps = deps;
    this.#forget = forget;
    const { execPath, args } = deps.command;
    this.#child = spawn('nsenter', [`--net=${namespace}`, '--', execPath, ...args, 'dial'], {
      cwd: '/',
      env: { PATH: process.env['PATH'], NODE_OPTIONS: process.env['NODE_OPTIONS'] },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('message', (answer, socket) =>
      this.#answered(answer as DialAnswer, socket as Socket | undefined),
    );
    this.#child.once('error', (error) => this.#ended(error.message));
    this.#child.once('exit', (code, signal) => this.#ended(`it ended with ${signal ?? code}`));
  }
  connect(hosts: readonly string[], port: number): Promise<Socket> {
    this.#idle?.cancel();
    this.#sequence++;
    const order: DialOrder = { id: this.#sequence, hosts, port };
    return new Promise((resolve, reject) => {
      this.#waiting.set(order.id, ({ error }, socket) => {
        if (socket === undefined) {
          reject(new RuntimeError('REFUSED', `nothing answers at port ${port}: ${error}`));
          return;
        }
        // What was handed over knows nothing of how it was opened.
        socket.allowHalfOpen = true;
        socket.on('error', () => undefined);
        resolve(socket);
      });
      this.#child.send(order);
    });
  }
  end(): void {
    this.#idle?.cancel();
    this.#forget();
    if (this.#child.connected) this.#child.disconnect();
    this.#child.kill('SIGKILL');
  }
  #answered(answer: DialAnswer, socket: Socket | undefined): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    waiting?.(answer, socket);
    if (this.#waiting.size > 0) return;
    this.#idle = this.#deps.clock.setTimer(IDLE_MS, () => this.end());
  }
  #ended(why: string): void {
    this.#idle?.cancel();
    this.#forget();
    for (const [id, waiting] of this.#waiting) {
      waiting({ id, error: `the helper in its network failed: ${why}` }, undefined);
    }
    this.#waiting.clear();
  }
}
