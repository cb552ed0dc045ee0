import { readFileSync } from 'node:fs';
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
import type { Client } from '../shared/rpc/rpc.ts';
import type { LiveIdentity } from '../shared/tls/live-identity.ts';
import { Agent } from '../worker/agent/agent.ts';
import { TaskLogs } from '../worker/logs/task-logs.ts';
import { GenericUnits } from '../worker/runtime/generic-units.ts';
import { SystemIo } from '../worker/system-io.ts';
import { type ContainerRuntime, findContainerRuntime } from './container-runtime.ts';
import type { DaemonDeps } from './deps.ts';
import { describeNode, hostPlaces } from './describe.ts';
import { HostLook } from './host-look.ts';
import { findInstallation } from './installation.ts';
import type { NodeConfig } from './node-config.ts';
import { NodeNetworking } from './node-network.ts';
import { genericOffers, NO_OFFER } from './offer.ts';
import type { NodePaths } from './paths.ts';
import { makeProcessRuntime, portsDirectory } from './process-runtime.ts';
import { SYSTEM_DIR } from './socket-access.ts';

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
  readonly #networking: NodeNetworking;
  readonly #containers: ContainerRuntime | undefined;
  readonly #units: GenericUnits;
  readonly #host: HostLook;
  readonly #stopListening: () => void;
  readonly #onOverlayPossible: () => void;
  #forget = false;

  private constructor(
    parts: {
      readonly agent: Agent;
      readonly logs: TaskLogs;
      readonly networking: NodeNetworking;
      readonly containers: ContainerRuntime | undefined;
      readonly units: GenericUnits;
      readonly host: HostLook;
      readonly stopListening: () => void;
    },
    onOverlayPossible: () => void,
  ) {
    this.#agent = parts.agent;
    this.#logs = parts.logs;
    this.#networking = parts.networking;
    this.#containers = parts.containers;
    this.#units = parts.units;
    this.#host = parts.host;
    this.#stopListening = parts.stopListening;
    this.#onOverlayPossible = onOverlayPossible;
  }

  /** Finds out on the way which runtimes this machine has. Nothing of it works before `start`. */
  static async create(options: WorkerPartOptions, deps: WorkerPartDeps): Promise<WorkerPart> {
    const { stateDir, paths, config, live } = options;
    const { clock, random } = deps;
    const { nodeId, clusterId } = live.current.subject;
    const log = deps.log.child({ part: 'worker' });
    const io = new SystemIo(clock);
    const around = { io, clock, random, log, stateDir, nodeId };
    const { pathDirs, netdScript, insideScript } = findInstallation();
    const inside = { execPath: process.execPath, args: [insideScript] };
    const logs = new TaskLogs(around);
    const networking = await NodeNetworking.find({ ...around, paths, config, netdScript, inside });
    const { network, proxy, router } = networking;
    const { bindRoots, genericResources } = config.offer ?? NO_OFFER;
    const generic = genericOffers(genericResources);
    const units = new GenericUnits(io, join(stateDir, 'units'), generic);
    const logDirectory = (taskId: string): string => logs.directory(taskId);
    const dialManager = (address: string): Client =>
      dial(address, { tls: live, ownConnection: true });
    // The agent is made of the runtimes: what they ask of it is known a moment later.
    let known: Pick<Agent, 'managers' | 'keptImages'> = {
      managers: config.managers,
      keptImages: () => new Set<string>(),
    };
    const containers = await findContainerRuntime({
      ...around,
      nodeName: config.nodeName,
      keptImages: () => known.keptImages(),
      managers: { managers: () => known.managers, dial: dialManager },
      network: router,
      publishHost: config.publishAddress,
      portsDirectory: portsDirectory(),
      logDirectory,
      onTaskPorts: (taskId, ports) => proxy.setTaskPorts(taskId, ports),
      inside,
      bindRoots,
      hidden: [options.socket, SYSTEM_DIR],
      units,
    });
    const ofProcesses = { ...around, pathDirs, inside, logDirectory, units };
    const processes = makeProcessRuntime(nodeId, config, ofProcesses);
    const agent = new Agent({
      ...around,
      ...hooksOf(deps),
      clusterId,
      runtimes: [processes, containers].filter((runtime) => runtime !== undefined),
      network,
      logs,
      dial: dialManager,
      managers: config.managers,
      examineNetwork: (rows, request) => networking.examine(rows, request),
      describe: () => {
        const wireguardKey = networking.tunnelKey();
        const offer = { bindRoots, generic: countsOf(generic), wireguardKey };
        return describeNode(config.nodeName, networking.tier, offer);
      },
      publishAddress: config.publishAddress,
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    });
    known = agent;
    // A new certificate is told, and with it a new key where that has come of age.
    const onChange = (): void => agent.descriptionChanged();
    const stopListening = live.onChange(onChange);
    const host = new HostLook({ clock, look: () => JSON.stringify(hostPlaces()), onChange });
    const parts = { agent, logs, networking, containers, units, host, stopListening };
    return new WorkerPart(parts, () => deps.onOverlayPossible());
  }

  async start(): Promise<void> {
    this.#logs.start();
    await this.#networking.network.start();
    this.#host.start();
    await this.#agent.start();
    const onChange = (): void => this.#agent.descriptionChanged();
    this.#networking.watchTier(this.#onOverlayPossible, onChange);
    this.#units.keepOnly(new Set(this.#agent.localTasks().map(({ id }) => id)));
  }
  /** Tasks and published ports go on. */
  async stop(goodbye: Liveness | undefined): Promise<void> {
    if (goodbye === Liveness.RESTARTING || goodbye === Liveness.LEAVING)
      this.#agent.sayGoodbye(goodbye);
    const { network, router } = this.#networking;
    this.#host.stop();
    this.#networking.endWatch();
    this.#stopListening();
    await this.#agent.stop();
    if (this.#forget) {
      await this.#containers?.destroy();
      await router.destroy();
      this.#networking.giveUp();
    }
    await router.close();
    await network.stop();
    this.#logs.stop();
  }
  async stopTasks(why: string): Promise<void> {
    await this.#agent.stopTasks(why);
  }
  /** Nothing of this node's tasks and network is left; their logs are. */
  async destroy(why: string): Promise<void> {
    this.forgetAtStop();
    await this.#agent.stopTasks(why);
    await this.#networking.network.destroy();
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
    return this.#networking.network.tier;
  }
  localTasks(): readonly LocalTask[] {
    return this.#agent.localTasks();
  }
  readLogs(taskId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    return this.#agent.readLogs(taskId, request, signal);
  }
}

/** What the agent tells the node of. */
function hooksOf(deps: WorkerPartDeps) {
  return {
    onManagers: (addresses: readonly string[]) => deps.onManagers(addresses),
    otherManagers: () => deps.otherManagers(),
    onCertificateNews: (news: CertificateNews) => deps.onCertificateNews(news),
    onRemoved: (reason: string) => deps.onRemoved(reason),
  };
}
