import type { ListenFailure } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { NamesWish } from './names/names-feed.ts';
import type { Network, NetworkRows } from './network.ts';
import type { ProxyNetwork } from './proxy-network.ts';
import { type Publishing, portKey } from './router/plan-published.ts';
import type { Router } from './router/router.ts';
import { countInbound } from './task-sockets.ts';

export interface OverlayNetworkDeps {
  /** Has the ports of processes, holds the others so that nobody else takes them, and answers names. */
  readonly proxy: Omit<Network, 'tier' | 'apply'> & Pick<ProxyNetwork, 'apply' | 'setNames'>;
  readonly router: Pick<
    Router,
    | 'setOverlay'
    | 'onSettled'
    | 'onEndpoints'
    | 'endpoints'
    | 'names'
    | 'open'
    | 'settle'
    | 'close'
    | 'destroy'
    | 'has'
  >;
  readonly clock: Clock;
  /** Where ports are published that name no address; empty: on all of this node's. */
  readonly publishAddress: string;
}

/** A new port goes through the kernel only once the proxy holds it, or has not said for this long. */
const HOLD_MS = 2_000;

/**
 * The network tier with kernel features: networks between nodes, virtual addresses, published ports
 * that keep the client's address. What the kernel does not carry, the proxy does.
 */
export class OverlayNetwork implements Network {
  readonly tier = 'overlay' as const;
  readonly #deps: OverlayNetworkDeps;
  readonly #appliedFns: ((index: number, failures: readonly ListenFailure[]) => void)[] = [];
  #rows: NetworkRows | undefined;
  /** Published ports that the proxy has tried to hold. */
  #tried = new Set<string>();
  #failures: readonly ListenFailure[] = [];
  #publishing: Publishing;
  #proxyIndex = 0;
  #routerIndex = 0;
  #told = { index: 0, failures: '' };
  #hold: Timer | undefined;

  constructor(deps: OverlayNetworkDeps) {
    this.#deps = deps;
    this.#publishing = { address: deps.publishAddress, refused: new Set() };
    deps.proxy.onApplied((index, failures) => this.#proxyApplied(index, failures));
    deps.router.onEndpoints(() => deps.proxy.setNames(this.#names()));
    deps.router.onSettled((index) => {
      this.#routerIndex = index;
      this.#tell();
    });
  }
  /** The router follows with the first rows: until then nobody knows which containers are here. */
  start(): Promise<void> {
    return this.#deps.proxy.start();
  }
  async stop(): Promise<void> {
    this.#hold?.cancel();
    await this.#deps.router.close();
    await this.#deps.proxy.stop();
  }
  async destroy(): Promise<void> {
    this.#hold?.cancel();
    // Its sockets would keep the router's namespace.
    await this.#deps.proxy.destroy();
    await this.#deps.router.destroy();
  }
  apply(rows: NetworkRows): void {
    const ports = portsOf(rows);
    // What was published before this daemon came is held already.
    if (this.#rows === undefined) this.#tried = ports;
    this.#rows = rows;
    this.#deps.proxy.apply(rows, this.#names());
    if ([...ports].some((port) => !this.#tried.has(port))) this.#holdBack(ports);
    this.#giveRouter();
  }
  onApplied(fn: (index: number, failures: readonly ListenFailure[]) => void): void {
    this.#appliedFns.push(fn);
  }
  /** Of a container, as its own kernel tables say; of a process, as the proxy does. */
  async openConnections(taskId: string, pid: number): Promise<number> {
    const inside = this.#deps.router.has(taskId) && pid > 0 ? await countInbound(pid) : undefined;
    return inside ?? this.#deps.proxy.openConnections(taskId, pid);
  }

  /** Undefined: no container of this node asks for names. */
  #names(): NamesWish | undefined {
    const { router } = this.#deps;
    const { networks = [], networkServices: services = [] } = this.#rows ?? {};
    const clients = router.endpoints.filter(({ names }) => names);
    if (clients.length === 0) return undefined;
    return { router: router.names.router, networks, services, clients };
  }
  #holdBack(ports: Set<string>): void {
    this.#hold ??= this.#deps.clock.setTimer(HOLD_MS, () => {
      this.#hold = undefined;
      this.#tried = new Set([...this.#tried, ...ports]);
      this.#giveRouter();
    });
  }
  #proxyApplied(index: number, failures: readonly ListenFailure[]): void {
    this.#proxyIndex = index;
    this.#failures = failures;
    if (this.#rows !== undefined && index >= this.#rows.index) {
      this.#hold?.cancel();
      this.#hold = undefined;
      this.#tried = portsOf(this.#rows);
    }
    this.#giveRouter();
    this.#tell();
  }
  #giveRouter(): void {
    const { router, publishAddress } = this.#deps;
    const rows = this.#rows;
    if (rows === undefined) return;
    const failed = this.#failures.map(({ protocol, port }) =>
      portKey({ protocol, published: port }),
    );
    const untried = [...portsOf(rows)].filter((port) => !this.#tried.has(port));
    const refused = new Set([...failed, ...untried]);
    if (!sameSet(refused, this.#publishing.refused))
      this.#publishing = { address: publishAddress, refused };
    const { services, peers = [], networks = [], networkServices = [] } = rows;
    const publishing = this.#publishing;
    router.setOverlay({ services, peers, networks, networkServices, publishing }, rows.index);
    void router.open().then(
      () => router.settle(),
      // It says so itself, and the next rows try again.
      () => undefined,
    );
  }
  #tell(): void {
    const index = Math.min(this.#proxyIndex, this.#routerIndex);
    const failures = JSON.stringify(this.#failures);
    if (index === 0 || (index === this.#told.index && failures === this.#told.failures)) return;
    this.#told = { index, failures };
    for (const fn of this.#appliedFns) fn(index, this.#failures);
  }
}

function portsOf({ services }: NetworkRows): Set<string> {
  const ports = services.flatMap((service) => service.ports.filter((port) => port.published !== 0));
  return new Set(ports.map((port) => portKey(port)));
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((each) => b.has(each));
}
