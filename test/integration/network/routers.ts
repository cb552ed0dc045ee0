import { join } from 'node:path';
import { NetworkPeer } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { SystemRandom } from '../../../shared/random.ts';
import type { LocalEndpoint } from '../../../worker/network/container-network.ts';
import { SystemNetcmd } from '../../../worker/network/router/netcmd.ts';
import { Router } from '../../../worker/network/router/router.ts';
import { INGRESS } from '../../../worker/network/router/rows.fixture.ts';
import type { OverlayRows } from '../../../worker/network/router/surroundings.ts';
import { SystemIo } from '../../../worker/system-io.ts';
import { tempDir } from '../../support/swarm.ts';
import type { Hosts, Peer } from './hosts.ts';

export const DATA_PORT = 4_799;

const PUBLISHING = { address: '', refused: new Set<string>() };

/** A router on each host, driven by rows as managers send them, and containers that are namespaces. */
export class Routers {
  readonly hosts: Hosts;
  readonly routers: Router[];
  readonly #directory = tempDir();
  readonly #endpoints = new Map<number, LocalEndpoint[]>();
  readonly #short: readonly string[];
  #containers = 0;
  rows: OverlayRows = { peers: [], networks: [], networkServices: [], services: [] };

  constructor(hosts: Hosts) {
    this.hosts = hosts;
    this.#short = hosts.names.map((name) => name.replaceAll('-', '').slice(1));
    this.routers = hosts.names.map((_, at) => this.router(at + 1));
    this.rows = {
      ...this.rows,
      peers: hosts.names.map((_, at) =>
        NetworkPeer.create({
          nodeId: this.nodeId(at + 1),
          index: at + 1,
          dataAddress: hosts.address(at + 1),
          dataPort: DATA_PORT,
          addresses: [hosts.address(at + 1), hosts.address6(at + 1)],
        }),
      ),
      networks: [INGRESS],
    };
  }
  /** What a daemon that starts has. */
  router(host: number): Router {
    const clock = new SystemClock();
    const io = new SystemIo(clock);
    const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
    return new Router({
      io,
      netcmd: new SystemNetcmd(io, clock, this.hosts.name(host)),
      clock,
      random: new SystemRandom(),
      log,
      nodeId: this.nodeId(host),
      short: this.#short[host - 1]!,
      tunnelKeys: this.tunnelKeys(host),
      carries: true,
      watch: () => ({ close() {} }),
    });
  }
  tunnelKeys(host: number): string {
    return join(this.#directory.path, String(host));
  }
  nodeId(host: number): string {
    return `${this.#short[host - 1]}restofthenodesid`;
  }
  short(host: number): string {
    return this.#short[host - 1]!;
  }
  /** Network namespace of a host's router. */
  inside(host: number): string {
    return `swr-${this.#short[host - 1]}`;
  }
  async open(): Promise<void> {
    for (const router of this.routers) await router.open();
    await this.apply({});
  }
  /** Gives rows to every node; each must come to what they say. */
  async apply(rows: Partial<OverlayRows>): Promise<void> {
    this.rows = { ...this.rows, ...rows };
    await Promise.all(this.routers.map((router) => this.give(router)));
  }
  async give(router: Router): Promise<void> {
    router.setOverlay({ ...this.rows, publishing: PUBLISHING }, 1);
    const problem = await router.settle();
    if (problem !== '') throw new Error(problem);
  }
  /** Attaches a namespace and starts a peer in it. */
  async container(
    host: number,
    name: string,
    init: Partial<LocalEndpoint>,
  ): Promise<{
    readonly peer: Peer;
    readonly namespace: string;
    readonly endpoint: LocalEndpoint;
  }> {
    const index = ++this.#containers;
    const endpoint = {
      taskId: name,
      index,
      ports: [],
      attachments: [],
      names: true,
      dns: [],
      ...init,
    };
    await this.routers[host - 1]!.attach(endpoint);
    this.#endpoints.set(host, [...(this.#endpoints.get(host) ?? []), endpoint]);
    const namespace = `swt-${this.#short[host - 1]}-${name}`;
    const peer = await this.hosts.peer(namespace, name);
    return { peer, namespace, endpoint };
  }
  /** The daemon of a host ends; the next one knows the containers and is told the rows. */
  async restart(host: number): Promise<void> {
    await this.routers[host - 1]!.close();
    const router = this.router(host);
    this.routers[host - 1] = router;
    for (const endpoint of this.#endpoints.get(host) ?? []) router.adopt(endpoint);
    await router.open();
    await this.give(router);
  }
  async end(): Promise<void> {
    for (const router of this.routers) await router.destroy();
    await this.hosts.end();
    this.#directory.remove();
  }
}
