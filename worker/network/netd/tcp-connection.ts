import { connect, type Socket } from 'node:net';
import { Protocol } from '../../../proto/index.ts';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { BackendPool, PoolEntry } from './backend-pool.ts';
import type { ConnectionCounts } from './connection-counts.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { splice } from './splice.ts';

/** What the connections of one listener share. */
export interface TcpContext {
  readonly clock: Clock;
  readonly pool: BackendPool;
  readonly counts: ConnectionCounts;
  proxyProtocolV2: boolean;
}

/** How long a client waits for a backend while there is none: a stop-first update of one replica. */
const WAIT_FOR_BACKEND_MS = 1_000;
/** Refused everywhere: the next round of dials comes this much later. */
const NEXT_ROUND_MS = 50;
/** A dial that takes longer is given up for another backend; alone it may take longer. */
const DIAL_MS = 500;
const LAST_DIAL_MS = 3_000;
/** A peer that went away without a word is noticed by the kernel's probes, after this idle time. */
export const KEEP_ALIVE_MS = 60_000;

/**
 * One client's connection: finds a backend before it reads the first byte, so that a refused dial
 * costs nothing but time, then hands both sockets to `splice`.
 */
export class TcpConnection {
  readonly #context: TcpContext;
  readonly #client: Socket;
  readonly #onConnected: () => void;
  readonly #onClosed: () => void;
  readonly #deadlineMs: number;
  readonly #tried = new Set<PoolEntry>();
  #backend: Socket | undefined;
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  #spliced = false;
  #over = false;

  /** `onConnected` when a backend answered, `onClosed` once, when nothing is left of it. */
  constructor(context: TcpContext, client: Socket, onConnected: () => void, onClosed: () => void) {
    this.#context = context;
    this.#client = client;
    this.#onConnected = onConnected;
    this.#onClosed = onClosed;
    this.#deadlineMs = context.clock.monotonicMs() + WAIT_FOR_BACKEND_MS;
    client.on('error', this.#onClientError);
  }
  start(): void {
    this.#next();
  }
  /** Resets both sides now. */
  destroy(): void {
    this.#giveUp();
  }
  #onClientError = (): void => this.#giveUp();

  #next(): void {
    if (this.#over) return;
    const { pool, clock } = this.#context;
    const nowMs = clock.monotonicMs();
    const entry = pool.pick(nowMs, this.#tried);
    if (entry !== undefined) {
      this.#dial(entry);
      return;
    }
    const leftMs = this.#deadlineMs - nowMs;
    if (leftMs <= 0) {
      this.#giveUp();
      return;
    }
    this.#tried.clear();
    this.#waitFor(pool.hasReady() ? Math.min(NEXT_ROUND_MS, leftMs) : leftMs);
  }
  #waitFor(ms: number): void {
    const wake = (): void => {
      this.#stopWaiting();
      this.#next();
    };
    this.#timer = this.#context.clock.setTimer(ms, wake);
    this.#unwatch = this.#context.pool.onChange(wake);
  }
  #stopWaiting(): void {
    this.#timer?.cancel();
    this.#unwatch?.();
    this.#unwatch = undefined;
  }
  #dial(entry: PoolEntry): void {
    this.#tried.add(entry);
    this.#count(entry, 1);
    const backend = connect({
      host: entry.host,
      port: entry.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#backend = backend;
    const settle = (): void => {
      this.#timer?.cancel();
      backend.off('error', failed).off('close', failed).off('connect', connected);
    };
    const failed = (): void => {
      settle();
      backend.on('error', ignore);
      backend.destroy();
      this.#count(entry, -1);
      if (this.#over) return;
      this.#context.pool.failed(entry, this.#context.clock.monotonicMs());
      this.#next();
    };
    const connected = (): void => {
      settle();
      this.#connected(entry, backend);
    };
    const alone = !this.#context.pool.entries.some((e) => !e.draining && !this.#tried.has(e));
    this.#timer = this.#context.clock.setTimer(alone ? LAST_DIAL_MS : DIAL_MS, failed);
    backend.on('error', failed).on('close', failed).on('connect', connected);
  }
  #connected(entry: PoolEntry, backend: Socket): void {
    this.#context.pool.answered(entry);
    const client = this.#client;
    this.#spliced = true;
    client.off('error', this.#onClientError);
    splice(client, backend, () => {
      this.#count(entry, -1);
      this.#finish();
    });
    this.#onConnected();
    if (this.#context.proxyProtocolV2) backend.write(proxyHeader(Protocol.TCP, endsOf(client)));
    client.resume();
  }
  #giveUp(): void {
    if (this.#over) return;
    this.#stopWaiting();
    this.#client.resetAndDestroy();
    // Spliced sockets finish by their own 'close'.
    if (!this.#spliced) this.#finish();
    this.#backend?.destroy();
  }
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onClosed();
  }
  #count(entry: PoolEntry, by: 1 | -1): void {
    entry.open += by;
    if (by > 0) this.#context.counts.opened(entry.taskId);
    else this.#context.counts.closed(entry.taskId);
  }
}

function ignore(): void {}

function endsOf(client: Socket): Parameters<typeof proxyHeader>[1] {
  return {
    clientAddress: client.remoteAddress ?? '0.0.0.0',
    clientPort: client.remotePort ?? 0,
    localAddress: client.localAddress ?? '0.0.0.0',
    localPort: client.localPort ?? 0,
  };
}
