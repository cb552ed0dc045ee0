import { Agent, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  /** Refused, reset or unanswered, with what the socket said. */
  readonly lost: readonly string[];
  /**
   * GETs on a reused connection that closed before the first byte of the answer and were sent once
   * more on a new one, as HTTP clients do (RFC 9112 section 9.3.1).
   */
  readonly resent: number;
  readonly bodies: ReadonlyMap<string, number>;
}

const ANSWER_TIMEOUT_MS = 10_000;

/**
 * A steady load of GETs on every target, half of them on new connections and half on kept ones,
 * until `stop`. Requests start on schedule whether earlier ones were answered or not.
 */
export class Load {
  readonly #targets: readonly Target[];
  readonly #path: (sequence: number) => string;
  /** As many connections as it takes: a request that waited for one would be late by the load's fault. */
  readonly #kept = new Agent({ keepAlive: true });
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Promise<void>>();
  readonly #used = new WeakSet<object>();
  readonly #lost: string[] = [];
  readonly #bodies = new Map<string, number>();
  #sent = 0;
  #answered = 0;
  #resent = 0;

  constructor(
    targets: readonly Target[],
    perSecondEach: number,
    path: (sequence: number) => string = () => '/',
  ) {
    this.#targets = targets;
    this.#path = path;
    const startedMs = performance.now();
    let due = 0;
    this.#timer = setInterval(() => {
      const wanted = ((performance.now() - startedMs) / 1000) * perSecondEach;
      for (; due < wanted; due++) this.#round(due);
    }, 5);
  }

  /** Sends nothing more; resolves when every request was answered or lost. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer);
    while (this.#open.size > 0) await Promise.all(this.#open);
    this.#kept.destroy();
    return {
      sent: this.#sent,
      answered: this.#answered,
      lost: this.#lost,
      resent: this.#resent,
      bodies: this.#bodies,
    };
  }

  get answered(): number {
    return this.#answered;
  }

  #round(sequence: number): void {
    for (const target of this.#targets) {
      const sending = this.#one(target, sequence, sequence % 2 === 0).finally(() => {
        this.#open.delete(sending);
      });
      this.#open.add(sending);
    }
  }

  async #one(target: Target, sequence: number, keep: boolean): Promise<void> {
    this.#sent++;
    const path = this.#path(sequence);
    try {
      this.#count(await this.#get(target, path, keep));
    } catch (error) {
      if (!(error instanceof ReusedConnectionClosed)) return this.#lose(target, sequence, error);
      this.#resent++;
      try {
        this.#count(await this.#get(target, path, false));
      } catch (second) {
        this.#lose(target, sequence, second);
      }
    }
  }

  #count(body: string): void {
    this.#answered++;
    this.#bodies.set(body, (this.#bodies.get(body) ?? 0) + 1);
  }

  #lose(target: Target, sequence: number, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#lost.push(`${target.host}:${target.port} #${sequence}: ${text}`);
  }

  #get(target: Target, path: string, keep: boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ ...target, path, agent: keep ? this.#kept : false });
      // Its own timeout would begin only when the connection is there.
      const timer = setTimeout(
        () => call.destroy(new Error(`no answer ${whereOf(call.socket)}`)),
        ANSWER_TIMEOUT_MS,
      );
      call.on('close', () => clearTimeout(timer));
      let begun = false;
      let reused = false;
      // `reusedSocket` is not set where the request has waited for a socket.
      call.on('socket', (socket: object) => {
        reused = this.#used.has(socket);
        this.#used.add(socket);
      });
      call.on('response', (response: IncomingMessage) => {
        begun = true;
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`status ${response.statusCode}`));
        });
        response.on('error', reject);
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        const closed = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        reject(closed && reused && !begun ? new ReusedConnectionClosed() : error);
      });
      call.end();
    });
  }
}

/** How far a request came, for whoever looks for the packets that were lost. */
function whereOf(socket: Socket | null): string {
  if (socket === null) return 'without a connection';
  const { connecting, localPort, bytesWritten, bytesRead } = socket;
  const at = new Date().toISOString();
  return connecting
    ? `while it connects, at ${at}`
    : `on a connection from port ${localPort}, ${bytesWritten} bytes sent, ${bytesRead} received, at ${at}`;
}

class ReusedConnectionClosed extends Error {}
