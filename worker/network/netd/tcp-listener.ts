import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import { BackendPool } from './backend-pool.ts';
import type { ConnectionCounts } from './connection-counts.ts';
import type { Listener } from './listener.ts';
import { KEEP_ALIVE_MS, TcpConnection, type TcpContext } from './tcp-connection.ts';
import type { ListenerWish } from './wish.ts';

/** Where a machine allows less (net.core.somaxconn), the kernel takes that. */
const BACKLOG = 4096;

export interface ListenerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly counts: ConnectionCounts;
  /** Called when a connection or flow has ended. */
  readonly onEnded: () => void;
}

/** Listens on one published TCP port and passes each connection on to a backend. */
export class TcpListener implements Listener {
  readonly #context: TcpContext;
  readonly #server: Server;
  readonly #connections = new Set<TcpConnection>();
  readonly #onEnded: () => void;
  #waiting = 0;
  #handle: unknown;

  constructor(deps: ListenerDeps) {
    const pool = new BackendPool(deps.random);
    this.#context = { clock: deps.clock, counts: deps.counts, pool, proxyProtocolV2: false };
    this.#onEnded = deps.onEnded;
    this.#server = createServer(
      {
        allowHalfOpen: true,
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
      },
      (client) => this.#accept(client),
    );
    this.#handle = this.#server;
  }
  get open(): number {
    return this.#connections.size;
  }
  get handle(): unknown {
    return this.#handle;
  }
  listen(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => undefined);
        resolve();
      });
    });
  }
  /** Goes on with a listening server that another process handed over. */
  adopt(server: Server): void {
    this.#server.on('error', () => undefined);
    this.#server.listen(server);
  }
  update(wish: ListenerWish): void {
    this.#context.proxyProtocolV2 = wish.proxyProtocolV2;
    this.#context.pool.update(wish.backends);
  }
  close(): void {
    if (this.#server.listening) this.#server.close();
  }
  destroy(): void {
    this.close();
    for (const connection of [...this.#connections]) connection.destroy();
  }
  #accept(client: Socket): void {
    if (this.#waiting >= LIMITS.netdWaitingMax) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    let waiting = true;
    const noLongerWaiting = (): void => {
      if (waiting) this.#waiting--;
      waiting = false;
    };
    this.#waiting++;
    const connection = new TcpConnection(this.#context, client, noLongerWaiting, () => {
      noLongerWaiting();
      this.#connections.delete(connection);
      this.#onEnded();
    });
    this.#connections.add(connection);
    connection.start();
  }
}
