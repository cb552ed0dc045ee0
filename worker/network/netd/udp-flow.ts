import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { PoolEntry } from './backend-pool.ts';

export interface UdpFlowDeps {
  readonly backend: PoolEntry;
  readonly clock: Clock;
  readonly onAnswer: (datagram: Buffer) => void;
  /** The backend's machine said that nobody is at its port. */
  readonly onRefused: () => void;
}

/** The datagrams of one client and one backend; its socket's port is how the backend knows it. */
export class UdpFlow {
  readonly backend: PoolEntry;
  /** When a datagram last passed, either way; monotonic milliseconds. */
  lastUsedMs: number;
  refused = false;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #onRefused: () => void;
  #queue: Buffer[] | undefined = [];
  #closed = false;

  constructor(deps: UdpFlowDeps) {
    this.backend = deps.backend;
    this.#clock = deps.clock;
    this.lastUsedMs = deps.clock.monotonicMs();
    deps.backend.open++;
    this.#socket = createSocket(isIPv6(deps.backend.host) ? 'udp6' : 'udp4');
    this.#onRefused = deps.onRefused;
    this.#socket.on('error', () => this.#failed());
    this.#socket.on('message', (datagram) => {
      this.lastUsedMs = this.#clock.monotonicMs();
      deps.onAnswer(datagram);
    });
    this.#socket.connect(deps.backend.port, deps.backend.host, () => this.#connected());
  }
  send(datagram: Buffer): void {
    this.lastUsedMs = this.#clock.monotonicMs();
    if (this.#queue === undefined) this.#socket.send(datagram, this.#sent);
    else if (this.#queue.length < LIMITS.netdFlowQueueMax) this.#queue.push(datagram);
  }
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.backend.open--;
    this.#socket.close();
  }
  readonly #sent = (error: Error | null): void => {
    if (error !== null && error !== undefined) this.#failed();
  };
  #failed(): void {
    if (this.refused || this.#closed) return;
    this.refused = true;
    this.#onRefused();
  }
  #connected(): void {
    if (this.#closed) return;
    const queue = this.#queue ?? [];
    this.#queue = undefined;
    for (const datagram of queue) this.#socket.send(datagram, this.#sent);
  }
}
