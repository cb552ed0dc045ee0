import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CertificateNews,
  Liveness,
  type LocalTask,
  type LogRecord,
  type LogRequest,
  type NodeDescription,
} from '../proto/index.ts';
import { countsOf } from '../shared/generic-resources.ts';
import { dial } from '../shared/rpc/client.ts';
import type { LiveIdentity } from '../shared/tls/live-identity.ts';
import { VERSION } from '../shared/version.ts';
import { Agent } from '../worker/agent/agent.ts';
import { TaskLogs } from '../worker/logs/task-logs.ts';
import { BoundNetwork } from '../worker/network/bound-network.ts';
import { examineNetwork } from '../worker/network/doctor/examine.ts';
import type { Network } from '../worker/network/network.ts';
import { OverlayNetwork } from '../worker/network/overlay-network.ts';
import { ProxyNetwork } from '../worker/network/proxy-network.ts';
import { SystemNetcmd } from '../worker/network/router/netcmd.ts';
import { Router, type RouterDeps } from '../worker/network/router/router.ts';
import { TunnelKeys } from '../worker/network/router/tunnel-keys.ts';
import { watchKernel } from '../worker/network/router/watch.ts';
import { GenericUnits } from '../worker/runtime/generic-units.ts';
import { ProcessRuntime } from '../worker/runtime/process/process-runtime.ts';
import type { Runtime } from '../worker/runtime.ts';
import { SystemIo } from '../worker/system-io.ts';
import { addressesOfInterface } from './address.ts';
import { ARCHITECTURE, type ContainerRuntime, findContainerRuntime } from './container-runtime.ts';
import type { DaemonDeps } from './deps.ts';
import { describeNode, hostPlaces } from './describe.ts';
import { HostLook } from './host-look.ts';
import { findInstallation, type Installation } from './installation.ts';
import type { NodeConfig } from './node-config.ts';
import { genericOffers, NO_OFFER } from './offer.ts';
import {
  findOverlayTier,
  findTunnel,
  giveUpOverlay,
  type OverlayTier,
  overlayObstacle,
} from './overlay-tier.ts';
import type { NodePaths } from './paths.ts';
import { SYSTEM_DIR } from './socket-access.ts';
import { TierLook } from './tier-look.ts';

export interface WorkerPartOptions {
  readonly stateDir: string;
  /** The local one of this daemon. */
  readonly socket: string;
  readonly paths: NodePaths;
  readonly config: NodeConfig;
  readonly live: LiveIdentity;
}

export interface WorkerPartDeps extends DaemonDeps {
  onManagers(addresses: readonly string[]): void;
  /** What this node's manager part, or its operator, knows of where managers are. */
  otherManagers(): readonly string[];
  onCertificateNews(news: CertificateNews): void;
  onRemoved(reason: string): void;
  /** This machine can carry networks by now: this part is to be made anew. */
  onOverlayPossible(): void;
}

/** The worker part of a node: agent, runtimes, logs and network, put together for this machine. */
export class WorkerPart {
  readonly #agent: Agent;
  readonly #logs: TaskLogs;
  readonly #network: Network;
  readonly #forgetNetwork: () => void;
  readonly #router: Router;
  readonly #containers: ContainerRuntime | undefined;
  readonly #units: GenericUnits;
  readonly #host: HostLook;
  readonly #tierLook: TierLook;
  readonly #tier: OverlayTier;
  readonly #stopListening: () => void;
  #forget = false;

  private constructor(parts: {
    readonly agent: Agent;
    readonly logs: TaskLogs;
    readonly network: Network;
    readonly forgetNetwork: () => void;
    readonly router: Router;
    readonly containers: ContainerRuntime | undefined;
    readonly units: GenericUnits;
    readonly host: HostLook;
    readonly tierLook: TierLook;
    readonly tier: OverlayTier;
    readonly stopListening: () => void;
  }) {
    this.#agent = parts.agent;
    this.#logs = parts.logs;
    this.#network = parts.network;
    this.#forgetNetwork = parts.forgetNetwork;
    this.#router = parts.router;
    this.#containers = parts.containers;
    this.#units = parts.units;
    this.#host = parts.host;
    this.#tierLook = parts.tierLook;
    this.#tier = parts.tier;
    this.#stopListening = parts.stopListening;
  }

  /** Finds out on the way which runtimes this machine has. Nothing of it works before `start`. */
  static async create(options: WorkerPartOptions, deps: WorkerPartDeps): Promise<WorkerPart> {
    const { stateDir, paths, config, live } = options;
    const { clock, random } = deps;
    const log = deps.log.child({ part: 'worker' });
    const { nodeId, clusterId } = live.current.subject;
    const io = new SystemIo(clock);
    const installation = findInstallation();
    const logs = new TaskLogs({ io, clock, log, stateDir, nodeId });
    const netcmd = new SystemNetcmd(io, clock);
    const tierDeps = { io, netcmd, config, nodeId, stateDir };
    const firstTier = await findOverlayTier(tierDeps);
    log.info({ ...firstTier }, 'networks between nodes');
    let tier = firstTier;
    const around = { io, clock, random, log, stateDir, nodeId, nodeName: config.nodeName };
    // The agent is made of the runtimes: what they ask of it is known a moment later.
    let known: Pick<Agent, 'managers' | 'keptImages'> = {
      managers: config.managers,
      keptImages: () => new Set<string>(),
    };
    const { proxy, router, network } = networkParts(options, around, netcmd, tier, installation);
    const tunnelKeys = new TunnelKeys({ io, clock, directory: paths.tunnelKeys });
    const tunnelKey = (): string => (tier.found && tier.tunnel.found ? tunnelKeys.publicKey() : '');
    const { bindRoots, genericResources } = config.offer ?? NO_OFFER;
    const generic = genericOffers(genericResources);
    const units = new GenericUnits(io, join(stateDir, 'units'), generic);
    const containers = await findContainerRuntime({
      ...around,
      keptImages: () => known.keptImages(),
      managers: {
        managers: () => known.managers,
        dial: (address) => dial(address, { tls: live, ownConnection: true }),
      },
      network: router,
      publishHost: config.publishAddress,
      portsDirectory: portsDirectory(),
      logDirectory: (taskId) => logs.directory(taskId),
      onTaskPorts: (taskId, ports) => proxy.setTaskPorts(taskId, ports),
      inside: { execPath: process.execPath, args: [installation.insideScript] },
      bindRoots,
      hidden: [options.socket, SYSTEM_DIR],
      units,
    });
    const processes = processRuntime(options, deps, { io, logs, units }, installation);
    const examination = {
      io,
      netcmd,
      router,
      short: nodeId.slice(0, 8),
      lacks: () => (tier.found ? '' : tier.why),
      inside: { execPath: process.execPath, args: [installation.insideScript] },
    };
    const agent = new Agent({
      nodeId,
      clusterId,
      stateDir,
      io,
      clock,
      random,
      log,
      runtimes: [...processes, ...(containers ? [containers] : [])],
      network,
      logs,
      dial: (address) => dial(address, { tls: live, ownConnection: true }),
      managers: config.managers,
      examineNetwork: (rows, request) => examineNetwork(examination, rows, request),
      describe: () => {
        const offer = { bindRoots, generic: countsOf(generic) };
        return describeNode(config.nodeName, [], tier, { ...offer, wireguardKey: tunnelKey() });
      },
      publishAddress: config.publishAddress,
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      onManagers: (addresses) => deps.onManagers(addresses),
      otherManagers: () => deps.otherManagers(),
      onCertificateNews: (news) => deps.onCertificateNews(news),
      onRemoved: (reason) => deps.onRemoved(reason),
    });
    known = agent;
    // A new certificate is told, and with it a new key where that has come of age.
    const stopListening = live.onChange(() => agent.descriptionChanged());
    const host = new HostLook({
      clock,
      look: () => JSON.stringify(hostPlaces()),
      onChange: () => agent.descriptionChanged(),
    });
    const tierLook = new TierLook({
      clock,
      obstacle: () => overlayObstacle(tierDeps),
      find: async () =>
        tier.found ? { ...tier, tunnel: await findTunnel(tierDeps) } : findOverlayTier(tierDeps),
      onOther: (other) => {
        log.info({ ...other }, 'networks between nodes');
        if (other.found && !tier.found) return deps.onOverlayPossible();
        tier = other;
        agent.descriptionChanged();
      },
    });
    return new WorkerPart({
      agent,
      logs,
      network,
      forgetNetwork: () => giveUpOverlay(io, nodeId),
      router,
      containers,
      units,
      host,
      tierLook,
      tier: firstTier,
      stopListening,
    });
  }

  async start(): Promise<void> {
    this.#logs.start();
    await this.#network.start();
    this.#host.start();
    await this.#agent.start();
    this.#tierLook.start(this.#tier);
    this.#units.keepOnly(new Set(this.#agent.localTasks().map(({ id }) => id)));
  }
  /** Tasks and published ports go on. */
  async stop(goodbye: Liveness | undefined): Promise<void> {
    if (goodbye === Liveness.RESTARTING || goodbye === Liveness.LEAVING)
      this.#agent.sayGoodbye(goodbye);
    this.#host.stop();
    this.#tierLook.stop();
    this.#stopListening();
    await this.#agent.stop();
    if (this.#forget) {
      await this.#containers?.destroy();
      await this.#router.destroy();
      this.#forgetNetwork();
    }
    await this.#router.close();
    await this.#network.stop();
    this.#logs.stop();
  }
  async stopTasks(why: string): Promise<void> {
    await this.#agent.stopTasks(why);
  }
  /** Nothing of this node's tasks and network is left; their logs are. */
  async destroy(why: string): Promise<void> {
    this.forgetAtStop();
    await this.#agent.stopTasks(why);
    await this.#network.destroy();
  }
  /** This node's state is not needed again: `stop` takes away what lies outside its directory, too. */
  forgetAtStop(): void {
    this.#forget = true;
  }

  get connected(): boolean {
    return this.#agent.connected;
  }
  get managers(): readonly string[] {
    return this.#agent.managers;
  }
  get description(): NodeDescription {
    return this.#agent.description;
  }
  get networkTier(): string {
    return this.#network.tier;
  }
  localTasks(): readonly LocalTask[] {
    return this.#agent.localTasks();
  }
  readLogs(taskId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    return this.#agent.readLogs(taskId, request, signal);
  }
}

/** The node's network as the agent sees it, and what it is made of. */
function networkParts(
  { stateDir, paths, config }: WorkerPartOptions,
  around: Omit<RouterDeps, 'short' | 'tunnelKeys' | 'netcmd' | 'carries' | 'watch'>,
  netcmd: SystemNetcmd,
  tier: OverlayTier,
  installation: Installation,
) {
  const { clock, random, log, nodeId } = around;
  const isEverywhere = tier.found && config.publishesEverywhere === true;
  const publishAddress = isEverywhere ? '' : config.publishAddress;
  const proxy = new ProxyNetwork({
    stateDir,
    socketPath: paths.netdSocket,
    nodeId,
    publishAddress,
    versionText: VERSION,
    netd: { execPath: process.execPath, args: [installation.netdScript] },
    clock,
    random,
    log,
  });
  const router = new Router({
    ...around,
    short: nodeId.slice(0, 8),
    tunnelKeys: paths.tunnelKeys,
    netcmd,
    carries: tier.found,
    watch: (names, onChange) => watchKernel(clock, names, onChange),
  });
  const inner = tier.found ? new OverlayNetwork({ proxy, router, clock, publishAddress }) : proxy;
  const places = { nodeId, addressesOf: addressesOfInterface };
  return { proxy, router, network: new BoundNetwork({ inner, places, clock }) };
}

/** A root daemon runs commands of the host only when its operator said so. */
function processRuntime(
  options: WorkerPartOptions,
  deps: WorkerPartDeps,
  {
    io,
    logs,
    units,
  }: { readonly io: SystemIo; readonly logs: TaskLogs; readonly units: GenericUnits },
  { pathDirs, insideScript }: Installation,
): Runtime[] {
  const uid = process.getuid?.() ?? 0;
  const { config, live, stateDir } = options;
  if (uid === 0 && !config.allowProcess) return [];
  const runtime = new ProcessRuntime({
    io,
    clock: deps.clock,
    random: deps.random,
    stateDir,
    node: {
      id: live.current.subject.nodeId,
      hostname: config.nodeName,
      architecture: ARCHITECTURE,
    },
    publishHost: config.publishAddress,
    pathDirs,
    portsDirectory: portsDirectory(),
    tmpdir: tmpdir(),
    uid,
    gid: process.getgid?.() ?? 0,
    allowProcess: config.allowProcess,
    inside: { execPath: process.execPath, args: [insideScript] },
    logDirectory: (taskId) => logs.directory(taskId),
    units,
  });
  return [runtime];
}

/** Shared by all daemons of this user on the machine. */
function portsDirectory(): string {
  return join(tmpdir(), `swarm-ports-${process.getuid?.() ?? 0}`);
}
