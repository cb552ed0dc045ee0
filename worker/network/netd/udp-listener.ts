import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { Protocol } from '../../../proto/index.ts';
import type { Timer } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { BackendPool, type PoolEntry } from './backend-pool.ts';
import type { Listener } from './listener.ts';
import { proxyHeader } from './proxy-protocol.ts';
import type { ListenerDeps } from './tcp-listener.ts';
import { UdpFlow } from './udp-flow.ts';
import type { ListenerWish } from './wish.ts';

/** A flow without a datagram in either direction ends after this. */
const FLOW_IDLE_MS = 60_000;
const SWEEP_MS = 10_000;

/** Which task a client's flow went to, for the netd that takes over. */
export interface FlowAffinity {
  readonly client: string;
  readonly taskId: string;
}

/** Listens on one published UDP port: all datagrams of one client go to one backend. */
export class UdpListener implements Listener {
  readonly #deps: ListenerDeps;
  readonly #pool: BackendPool;
  readonly #flows = new Map<string, UdpFlow>();
  readonly #affinity = new Map<string, string>();
  #socket: Socket | undefined;
  #proxyProtocolV2 = false;
  #sweep: Timer | undefined;

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
    this.#pool = new BackendPool(deps.random);
  }
  get open(): number {
    return this.#flows.size;
  }
  get handle(): unknown {
    return this.#socket;
  }
  listen(address: string, port: number): Promise<void> {
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' });
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ address, port }, () => {
        socket.removeAllListeners('error');
        this.#use(socket);
        resolve();
      });
    });
  }
  /** Goes on with a bound socket that another process handed over. */
  adopt(socket: Socket, affinity: readonly FlowAffinity[]): void {
    for (const { client, taskId } of affinity) this.#affinity.set(client, taskId);
    this.#use(socket);
  }
  affinity(): readonly FlowAffinity[] {
    return [...this.#flows].map(([client, flow]) => ({ client, taskId: flow.backend.taskId }));
  }
  update(wish: ListenerWish): void {
    this.#proxyProtocolV2 = wish.proxyProtocolV2;
    this.#pool.update(wish.backends);
  }
  close(): void {
    this.destroy();
  }
  destroy(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const flow of this.#flows.values()) flow.close();
    this.#flows.clear();
    this.#socket?.close();
    this.#socket = undefined;
    this.#deps.onEnded();
  }
  #use(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (datagram, from) => this.#receive(datagram, from));
  }
  #receive(datagram: Buffer, from: RemoteInfo): void {
    const client = `${from.address} ${from.port}`;
    let flow = this.#flows.get(client);
    if (flow === undefined || flow.backend.draining || flow.backend.gone || flow.refused) {
      flow?.close();
      this.#flows.delete(client);
      flow = this.#open(client, from);
    }
    flow?.send(this.#proxyProtocolV2 ? Buffer.concat([this.#header(from), datagram]) : datagram);
  }
  #open(client: string, from: RemoteInfo): UdpFlow | undefined {
    const { clock } = this.#deps;
    const backend = this.#preferred(client) ?? this.#pool.pick(clock.monotonicMs());
    if (backend === undefined) return undefined;
    if (this.#flows.size >= LIMITS.netdFlowsMax) {
      const [oldest, evicted] = this.#flows.entries().next().value!;
      evicted.close();
      this.#flows.delete(oldest);
    }
    const flow = new UdpFlow({
      backend,
      clock,
      onAnswer: (answer) => this.#socket?.send(answer, from.port, from.address),
      onRefused: () => this.#pool.failed(backend, clock.monotonicMs()),
    });
    this.#flows.set(client, flow);
    this.#sweep ??= clock.setTimer(SWEEP_MS, () => this.#expire());
    return flow;
  }
  #preferred(client: string): PoolEntry | undefined {
    const taskId = this.#affinity.get(client);
    if (taskId === undefined) return undefined;
    this.#affinity.delete(client);
    return this.#pool.entries.find((entry) => entry.taskId === taskId && !entry.draining);
  }
  #expire(): void {
    this.#affinity.clear();
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [client, flow] of this.#flows) {
      if (nowMs - flow.lastUsedMs < FLOW_IDLE_MS) continue;
      flow.close();
      this.#flows.delete(client);
    }
    this.#sweep =
      this.#flows.size > 0 ? this.#deps.clock.setTimer(SWEEP_MS, () => this.#expire()) : undefined;
  }
  #header(from: RemoteInfo): Buffer {
    const local = this.#socket!.address();
    return proxyHeader(Protocol.UDP, {
      clientAddress: from.address,
      clientPort: from.port,
      localAddress: local.address,
      localPort: local.port,
    });
  }
}
