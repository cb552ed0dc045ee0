import type { NetworkLookRequest, NodeNetwork } from '../proto/index.ts';
import type { Clock } from '../shared/clock.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';
import { VERSION } from '../shared/version.ts';
import type { InsideCommand } from '../worker/inside/dialer.ts';
import type { Io } from '../worker/io.ts';
import { BoundNetwork } from '../worker/network/bound-network.ts';
import { examineNetwork } from '../worker/network/doctor/examine.ts';
import type { Network, NetworkRows } from '../worker/network/network.ts';
import { OverlayNetwork } from '../worker/network/overlay-network.ts';
import { ProxyNetwork } from '../worker/network/proxy-network.ts';
import { SystemNetcmd } from '../worker/network/router/netcmd.ts';
import { Router } from '../worker/network/router/router.ts';
import { TunnelKeys } from '../worker/network/router/tunnel-keys.ts';
import { watchKernel } from '../worker/network/router/watch.ts';
import { addressesOfInterface } from './address.ts';
import type { NodeConfig } from './node-config.ts';
import {
  findOverlayTier,
  findTunnel,
  giveUpOverlay,
  type OverlayTier,
  overlayObstacle,
} from './overlay-tier.ts';
import type { NodePaths } from './paths.ts';
import { TierLook } from './tier-look.ts';

export interface NodeNetworkingDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly stateDir: string;
  readonly nodeId: string;
  readonly paths: NodePaths;
  readonly config: NodeConfig;
  readonly netdScript: string;
  readonly inside: InsideCommand;
}

/** The network of a node, put together for what this machine can do. */
export class NodeNetworking {
  /** What the agent sees. Nothing of it works before its `start`. */
  readonly network: Network;
  readonly proxy: ProxyNetwork;
  /** What containers are attached to. */
  readonly router: Router;
  readonly #deps: NodeNetworkingDeps;
  readonly #netcmd: SystemNetcmd;
  readonly #tunnelKeys: TunnelKeys;
  #tier: OverlayTier;
  #look: TierLook | undefined;
  #isOver = false;

  /** Finds out by trying which tier this machine has. */
  static async find(deps: NodeNetworkingDeps): Promise<NodeNetworking> {
    const netcmd = new SystemNetcmd(deps.io, deps.clock);
    const tier = await findOverlayTier({ ...deps, netcmd });
    deps.log.info({ ...tier }, 'networks between nodes');
    return new NodeNetworking(deps, netcmd, tier);
  }

  private constructor(deps: NodeNetworkingDeps, netcmd: SystemNetcmd, tier: OverlayTier) {
    const { io, clock, random, log, nodeId, paths, config } = deps;
    this.#deps = deps;
    this.#netcmd = netcmd;
    this.#tier = tier;
    this.#tunnelKeys = new TunnelKeys({ io, clock, directory: paths.tunnelKeys });
    const isEverywhere = tier.found && config.publishesEverywhere === true;
    const publishAddress = isEverywhere ? '' : config.publishAddress;
    const proxy = new ProxyNetwork({
      stateDir: deps.stateDir,
      socketPath: paths.netdSocket,
      nodeId,
      publishAddress,
      versionText: VERSION,
      netd: { execPath: process.execPath, args: [deps.netdScript] },
      clock,
      random,
      log,
    });
    this.proxy = proxy;
    const router = new Router({
      io,
      clock,
      random,
      log,
      nodeId,
      short: nodeId.slice(0, 8),
      tunnelKeys: paths.tunnelKeys,
      netcmd,
      carries: tier.found,
      watch: (names, onChange) => watchKernel(clock, names, onChange),
    });
    this.router = router;
    const inner = tier.found ? new OverlayNetwork({ proxy, router, clock, publishAddress }) : proxy;
    const places = { nodeId, addressesOf: addressesOfInterface };
    this.network = new BoundNetwork({ inner, places, clock });
  }

  get tier(): OverlayTier {
    return this.#tier;
  }
  /** Empty where nothing goes through tunnels. */
  tunnelKey(): string {
    const isUsed = this.#tier.found && this.#tier.tunnel.found;
    return isUsed ? this.#tunnelKeys.publicKey() : '';
  }
  examine(rows: NetworkRows, request: NetworkLookRequest): Promise<NodeNetwork> {
    const { io, nodeId, inside } = this.#deps;
    const lacks = (): string => (this.#tier.found ? '' : this.#tier.why);
    const examination = {
      io,
      netcmd: this.#netcmd,
      router: this.router,
      short: nodeId.slice(0, 8),
      lacks,
      inside,
    };
    return examineNetwork(examination, rows, request);
  }

  /**
   * Looks from now on whether this machine comes to carry networks (`onPossible`: the worker part is
   * to be made anew), or its tier is another in what is told of it.
   */
  watchTier(onPossible: () => void, onChange: () => void): void {
    if (this.#isOver) return;
    const { clock, log } = this.#deps;
    const deps = { ...this.#deps, netcmd: this.#netcmd };
    this.#look = new TierLook({
      clock,
      obstacle: () => overlayObstacle(deps),
      find: async () => {
        const tier = this.#tier;
        return tier.found ? { ...tier, tunnel: await findTunnel(deps) } : findOverlayTier(deps);
      },
      onOther: (other) => {
        log.info({ ...other }, 'networks between nodes');
        if (other.found && !this.#tier.found) return onPossible();
        this.#tier = other;
        onChange();
      },
    });
    this.#look.start(this.#tier);
  }
  /** For good: also one that would begin after it. */
  endWatch(): void {
    this.#isOver = true;
    this.#look?.stop();
  }
  /** Another daemon of this machine may carry networks from now on. */
  giveUp(): void {
    giveUpOverlay(this.#deps.io, this.#deps.nodeId);
  }
}
