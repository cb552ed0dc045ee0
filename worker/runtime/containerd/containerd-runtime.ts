import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  ContainersService,
  IntrospectionService,
  NamespacesService,
  type Process,
  SnapshotKind,
  SnapshotsService,
  TasksService,
  VersionService,
} from '../../../proto/containerd.ts';
import { AssignedTask, type PortBinding, type TaskUsage } from '../../../proto/index.ts';
import { type Clock, delay, type Timer } from '../../../shared/clock.ts';
import { Registry } from '../../../shared/distribution/registry.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import { type Containerd, ContainerdError, connectContainerd, unless } from '../../containerd.ts';
import { ImageCollector } from '../../images/image-collector.ts';
import { ImageStore } from '../../images/image-store.ts';
import { SNAPSHOTTER } from '../../images/layer-store.ts';
import { ManagerSource, type ManagerSourceDeps } from '../../images/manager-source.ts';
import { Dialers, type InsideCommand } from '../../inside/dialer.ts';
import type { Io } from '../../io.ts';
import type { BindPlaces } from '../../mounts/bind-mounts.ts';
import { Volumes } from '../../mounts/volumes.ts';
import type { ContainerNetwork } from '../../network/container-network.ts';
import type { TaskPort } from '../../network/network.ts';
import {
  type AdoptedTask,
  type Runtime,
  RuntimeError,
  type RuntimeFeatures,
  type RuntimeVolumes,
  type TaskSecrets,
} from '../../runtime.ts';
import type { GenericUnits } from '../generic-units.ts';
import { loadOwnProfile } from '../oci/apparmor.ts';
import { hiddenPlaces, hostSide } from '../oci/host-side.ts';
import { askedMounts } from '../oci/spec.ts';
import { runsX32 } from '../oci/x32.ts';
import { bootId } from '../process/identity.ts';
import { type BindProbe, Ports } from '../process/ports.ts';
import { Sweeper } from '../process/sweep.ts';
import { CgroupHost } from './cgroup-host.ts';
import { endForgottenExecs } from './container-exec.ts';
import { ContainerdController } from './containerd-controller.ts';
import { OutputKeeper } from './output-keeper.ts';
import { endpointOf, publishedPorts, Records } from './records.ts';
import { otherMounts } from './same-mounts.ts';
import type { ContainerdShared } from './shared.ts';
import { Starts } from './starts.ts';

export interface ContainerdRuntimeDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly stateDir: string;
  readonly nodeId: string;
  readonly nodeName: string;
  /** As registries name it: amd64, arm64. */
  readonly architecture: string;
  /** Default: the socket of `socketPath`. */
  readonly containerd?: Containerd;
  readonly socketPath: string;
  /** Opened here; whoever made it closes it. */
  readonly network: ContainerNetwork;
  /** Address without a port, at which this node's task ports answer. */
  readonly publishHost: string;
  /** Shared by all daemons of this user on the machine, e.g. /tmp/swarm-ports-UID. */
  readonly portsDirectory: string;
  /** Where a task's output goes: files `out` and `err` in this directory. */
  readonly logDirectory: (taskId: string) => string;
  /** Called with all task ports of a task, and with none when it has ended. */
  readonly onTaskPorts: (taskId: string, ports: readonly TaskPort[]) => void;
  readonly bindProbe?: BindProbe;
  /** Digests of images that live tasks need, and that their services may go back to. */
  readonly keptImages: () => ReadonlySet<string>;
  /** Where images come from that the managers keep. */
  readonly managers: Pick<ManagerSourceDeps, 'managers' | 'dial'>;
  /** The daemon's: proxies and directories for registries. */
  readonly env: { readonly [name: string]: string | undefined };
  /** The helper that works inside containers. */
  readonly inside: InsideCommand;
  /** Directories that services may bind although the cluster allows no access to hosts. */
  readonly bindRoots: readonly string[];
  /** Sockets and keys of this daemon. */
  readonly hidden: readonly string[];
  /** This node's generic resources; shared with its other runtimes. */
  readonly units: GenericUnits;
}

/** First 8 characters of the node id: whatever belongs to this node on the machine has them. */
function shortId(nodeId: string): string {
  return nodeId.slice(0, 8);
}

function namespaceOf(nodeId: string): string {
  return `swarm-${shortId(nodeId)}`;
}

/** Where containerd keeps its state unless it is told otherwise. */
const ENGINE_PLACES = ['/run/containerd', '/var/lib/containerd'];
const INIT_PATHS = [
  '/usr/bin/tini-static',
  '/usr/bin/docker-init',
  '/usr/libexec/docker/docker-init',
  '/sbin/docker-init',
];

/** Containers, in a namespace of this node's own in containerd. */
export class ContainerdRuntime implements Runtime {
  readonly name = 'containerd';
  readonly #deps: ContainerdRuntimeDeps;
  readonly #containerd: Containerd;
  readonly #shared: ContainerdShared;
  readonly #settling = new Map<string, Promise<void>>();
  #readying: Promise<void> | undefined;
  #again: Timer | undefined;
  #closed = false;
  /** What runs as of the last list: who takes such a task over need not ask for it again. */
  #seen: ReadonlyMap<string, Process> = new Map();
  /** Where containerd unpacks images; empty: it did not say. */
  #imagesPath = '';
  /** The kernel runs programs of x32; true as long as it is not known. */
  #x32 = true;
  readonly #collector: ImageCollector;
  readonly #outputs: OutputKeeper;

  constructor(deps: ContainerdRuntimeDeps) {
    this.#deps = deps;
    const namespace = namespaceOf(deps.nodeId);
    this.#containerd = deps.containerd ?? connectContainerd(deps.socketPath, namespace);
    this.#shared = this.#share();
    const { images } = this.#shared;
    this.#collector = new ImageCollector({
      clock: deps.clock,
      log: deps.log,
      usedShare: () => this.#usedShare(),
      held: () => images.held(),
      remove: async (names) => {
        for (const name of names) await images.remove(name);
      },
      kept: () => this.#keptImages(),
    });
    const { records, cgroups } = this.#shared;
    this.#outputs = new OutputKeeper({
      io: deps.io,
      clock: deps.clock,
      log: deps.log,
      running: () =>
        records
          .ids()
          .filter((id) => records.started(id) && !records.exit(id) && !records.read(id)?.terminal),
      processes: (taskId) => cgroups.processes(taskId),
      logDirectory: deps.logDirectory,
      freeBytes: async (directory) => {
        const { bavail, bsize } = await statfs(directory);
        return bavail * bsize;
      },
    });
  }
  get volumes(): RuntimeVolumes {
    const { volumes, node } = this.#shared;
    return {
      list: () => volumes.list(),
      onChange: (fn) => volumes.onChange(fn),
      create: (name, labels, options) => volumes.create(name, labels, options),
      remove: (name) => volumes.remove(name),
      read: (name) => volumes.read(name),
      write: (name, replace) => volumes.write(name, replace),
      namesOf: (task) =>
        askedMounts({ task, node }).flatMap(({ type, source }) =>
          type === 'volume' && source !== '' ? [source] : [],
        ),
    };
  }
  get images(): ImageStore {
    return this.#shared.images;
  }
  async probe(): Promise<RuntimeFeatures> {
    const { cgroups, initPath } = this.#shared;
    const version = await this.#containerd
      .call(VersionService.version, {}, { timeoutMs: ANSWER_MS })
      .catch(() => undefined);
    return {
      runtime: 'containerd',
      features: {
        containerd: version?.version ?? 'does not answer',
        cgroups: cgroups.name,
        init: initPath === undefined ? 'no' : 'yes',
      },
    };
  }
  /** Rejects when no containerd answers at the socket. */
  async answers(): Promise<void> {
    await this.#containerd.call(VersionService.version, {}, { timeoutMs: ANSWER_MS });
  }
  /** Does not wait for a containerd that is down: what it has is found when it is back. */
  async open(): Promise<void> {
    const { records, ports, addresses } = this.#shared;
    this.#closed = false;
    records.open();
    ports.open();
    await this.#shared.volumes.open();
    // Who has ended may have had the index of one that runs.
    const ended = (id: string): boolean => records.exit(id) !== undefined;
    const ids = records.ids();
    for (const id of [...ids.filter(ended), ...ids.filter((each) => !ended(each))]) {
      const record = records.read(id);
      if (record) addresses.set(record.index, id);
    }
    const ready = this.#ready().catch((error) => {
      if (error instanceof RuntimeError && error.code === 'UNSUPPORTED') throw error;
      this.#deps.log.warn({ error: messageOf(error) }, 'containers can not be started yet');
      this.#tryAgain();
    });
    const [why, x32] = await Promise.all([
      loadOwnProfile(this.#deps.io),
      runsX32(this.#deps.io, this.#deps.stateDir),
      this.#atMost(OPEN_MS, ready),
    ]);
    this.#x32 = x32;
    if (why !== '') this.#deps.log.warn({ why }, 'containers are under no profile of AppArmor');
    this.#outputs.start();
  }
  /** A containerd that takes longer, on a busy machine, keeps nobody from what runs. */
  async #atMost(ms: number, work: Promise<void>): Promise<void> {
    const { clock, log } = this.#deps;
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = clock.setTimer(ms, () => {
        log.warn({}, 'containerd is slow: running containers are taken up before it is ready');
        resolve();
      });
    });
    // Who waits no longer does not hear of its failure either: `ready` tells each task.
    work.catch(() => undefined);
    await Promise.race([work, late]).finally(() => timer?.cancel());
  }
  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    this.#collector.stop();
    this.#outputs.stop();
    this.#shared.dialers.close();
    this.#shared.starts.close();
    await Promise.allSettled(this.#settling.values());
    this.#containerd.close();
  }
  async list(): Promise<readonly AdoptedTask[]> {
    const { records } = this.#shared;
    const known = records
      .ids()
      .filter((id) => !records.removing(id) && (records.started(id) || records.exit(id)));
    const processes = await this.#processes();
    const seen = new Map<string, Process>();
    const found = known.map((taskId) => {
      const process = processes?.get(taskId);
      // While containerd does not answer, its tasks go on.
      const exit = processes && this.#controllerById(taskId).exitBy(process);
      if (process && exit === undefined) seen.set(taskId, process);
      return { taskId, running: exit === undefined, exit };
    });
    this.#seen = seen;
    return found;
  }
  /** All at once; undefined: containerd does not answer. */
  async #processes(): Promise<ReadonlyMap<string, Process> | undefined> {
    // It asks one shim after the other: with many on a busy machine that takes minutes.
    const list = this.#containerd.call(TasksService.list, {}, { timeoutMs: LIST_MS });
    const answer = await list.catch(() => undefined);
    return answer && new Map(answer.tasks.map((process) => [process.id, process]));
  }
  controller(task: AssignedTask, secrets?: TaskSecrets): ContainerdController {
    return new ContainerdController(this.#shared, task, secrets, this.#seen.get(task.id));
  }
  async usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]> {
    const { records, cgroups } = this.#shared;
    const running = tasks.filter(({ id }) => records.started(id) && !records.exit(id));
    return running.flatMap(({ id }) => cgroups.usage(id) ?? []);
  }
  /** After `close`, when this node is not coming back: nothing of it is left but its volumes. */
  async destroy(): Promise<void> {
    const { images, network, records } = this.#shared;
    for (const id of records.ids()) {
      await this.#controllerById(id).dismantle();
      records.forget(id);
    }
    await this.#collect();
    for (const { name } of await images.list()) await images.remove(name);
    await network.destroy();
    await this.#shared.volumes.unmountAll();
    this.#shared.cgroups.removeParents();
    const name = namespaceOf(this.#deps.nodeId);
    // Refused as long as containerd is still collecting: then an empty name stays, and no more.
    await this.#containerd.call(NamespacesService.delete, { name }).catch(() => undefined);
    await this.close();
  }

  #share(): ContainerdShared {
    const { io, clock, random, log, stateDir, nodeId, nodeName, architecture } = this.#deps;
    const containerd = this.#containerd;
    const boot = bootId(io);
    const directory = join(stateDir, 'containers');
    const registry = new Registry({ clock, files: io, env: this.#deps.env });
    const { bindProbe } = this.#deps;
    return {
      io,
      clock,
      random,
      log,
      containerd,
      images: new ImageStore({
        containerd,
        registry,
        managers: new ManagerSource({ clock, random, ...this.#deps.managers }),
        clock,
        random,
        log,
        architecture,
      }),
      records: new Records(io, directory),
      volumes: new Volumes({
        io,
        clock,
        random: random.stream('volumes'),
        directory: join(stateDir, 'volumes'),
        inside: this.#deps.inside,
      }),
      network: this.#deps.network,
      dialers: new Dialers({ clock, command: this.#deps.inside }),
      inside: this.#deps.inside,
      ports: new Ports({
        io,
        clock,
        random: random.stream('container-ports'),
        directory: this.#deps.portsDirectory,
        runDirectory: directory,
        boot,
        uid: 0,
        ...(bindProbe ? { probe: bindProbe } : {}),
      }),
      cgroups: new CgroupHost(io, shortId(nodeId)),
      sweeper: new Sweeper(io, clock),
      boot,
      node: { id: nodeId, hostname: nodeName, architecture },
      publishHost: this.#deps.publishHost,
      initPath: INIT_PATHS.find((path) => io.executable(path)),
      host: () => hostSide(io, this.#shared.cgroups, this.#x32, this.#places()),
      units: this.#deps.units,
      openFilesMax: openFilesMax(io),
      starts: new Starts(clock),
      addresses: new Map(),
      retired: new Set(),
      ending: new Map(),
      dismantled: new Set(),
      logDirectory: this.#deps.logDirectory,
      publish: (taskId, ports) => this.#publish(taskId, ports),
      collectImages: () => this.#collector.collect(),
      ready: () => this.#ready(),
      settle: (taskId, fn) => this.#settle(taskId, fn),
      settled: async (taskId) => this.#settling.get(taskId),
    };
  }
  /** What of this machine services may bind, and what they never see. */
  #places(): Pick<BindPlaces, 'roots' | 'hidden'> {
    const { bindRoots, hidden, socketPath, stateDir } = this.#deps;
    const engine = this.#imagesPath === '' ? [] : [dirname(this.#imagesPath)];
    return {
      roots: bindRoots,
      hidden: hiddenPlaces([...hidden, ...ENGINE_PLACES, ...engine, socketPath, stateDir]),
    };
  }
  async #usedShare(): Promise<number> {
    if (this.#imagesPath === '') return 0;
    const { bavail, blocks } = await statfs(this.#imagesPath);
    return blocks === 0 ? 0 : 1 - bavail / blocks;
  }
  /** What containers are made from stays, whatever else is known of them. */
  #keptImages(): ReadonlySet<string> {
    const { records } = this.#shared;
    const used = records.ids().flatMap((id) => records.read(id)?.image ?? []);
    return new Set([...this.#deps.keptImages(), ...used]);
  }
  /** Namespace, router and what is left over of before; tried again until it worked once. */
  #ready(): Promise<void> {
    this.#readying ??= this.#makeReady().catch((error) => {
      this.#readying = undefined;
      throw error;
    });
    return this.#readying;
  }
  /** Nobody may ask for a new container for long, and those that run need what this does. */
  #tryAgain(): void {
    if (this.#closed) return;
    this.#again = this.#deps.clock.setTimer(AGAIN_MS, () => {
      this.#ready().catch(() => this.#tryAgain());
    });
  }
  async #makeReady(): Promise<void> {
    const { images } = this.#shared;
    await this.#openNetwork();
    const filters = ['type==io.containerd.snapshotter.v1'];
    const { plugins } = await this.#containerd.call(IntrospectionService.plugins, { filters });
    const overlay = plugins.find(({ id }) => id === SNAPSHOTTER);
    if (overlay === undefined || overlay.initErr !== null) {
      const why = overlay?.initErr?.message ?? 'it is not there';
      throw new RuntimeError('UNSUPPORTED', `containerd can't use overlayfs here: ${why}`);
    }
    this.#imagesPath = overlay.exports['root'] ?? '';
    this.#sameMounts();
    const namespace = { name: namespaceOf(this.#deps.nodeId) };
    const created = this.#containerd.call(NamespacesService.create, { namespace });
    await unless(created, 'ALREADY_EXISTS');
    await images.open();
    await this.#collect();
    this.#collector.start();
  }
  /** What is mounted here for a container, containerd has to find where we say it is. */
  #sameMounts(): void {
    const { io, socketPath } = this.#deps;
    const why = otherMounts(io, socketPath, this.#imagesPath);
    if (why !== '') throw new RuntimeError('UNSUPPORTED', why);
  }
  async #openNetwork(): Promise<void> {
    const { network, records } = this.#shared;
    const running = records.ids().flatMap((id) => {
      const record = records.read(id);
      return record?.prepared && !records.exit(id) ? [{ id, record }] : [];
    });
    for (const { id, record } of running)
      if (record.network === undefined) network.adopt(endpointOf(id, record));
    await network.open();
    for (const { id, record } of running) this.#publish(id, publishedPorts(record));
  }
  /** Containers without a record are what a lost state directory, or a kill at the last step, left. */
  async #collect(): Promise<void> {
    const { records, network } = this.#shared;
    const ids = new Set(records.ids());
    const { containers } = await this.#containerd.call(ContainersService.list, {});
    const found = new Set(containers.map(({ id }) => id));
    const request = { snapshotter: SNAPSHOTTER };
    for await (const { info } of this.#containerd.list(SnapshotsService.list, request)) {
      for (const { name, kind } of info) {
        if (kind === SnapshotKind.COMMITTED) continue;
        if (name.startsWith('extract-')) await this.#removeSnapshot(name);
        else found.add(name);
      }
    }
    for (const id of network.attached()) found.add(id);
    for (const id of found) if (!ids.has(id)) await this.#controllerById(id).dismantle();
    const running = [...ids].filter((id) => !records.exit(id));
    await Promise.all(running.map((id) => endForgottenExecs(this.#shared, id)));
    // What could not be cleared away when it was time.
    for (const id of ids) {
      const controller = this.#controllerById(id);
      if (records.removing(id)) this.#settle(id, () => controller.clear());
      else if (records.exit(id)) this.#settle(id, () => controller.retire());
    }
  }
  async #removeSnapshot(key: string): Promise<void> {
    const removed = this.#containerd.call(SnapshotsService.remove, {
      snapshotter: SNAPSHOTTER,
      key,
    });
    await unless(removed, 'NOT_FOUND');
  }
  #publish(taskId: string, ports: readonly PortBinding[]): void {
    const dialHost = this.#shared.network.address;
    this.#deps.onTaskPorts(
      taskId,
      ports.map(({ protocol, host, port }) => ({ protocol, host, port, dialHost, dialPort: port })),
    );
  }
  #settle(taskId: string, fn: () => Promise<void>): void {
    const before = this.#settling.get(taskId) ?? Promise.resolve();
    const now = before.then(() => this.#persist(taskId, fn));
    this.#settling.set(taskId, now);
    void now.finally(() => {
      if (this.#settling.get(taskId) === now) this.#settling.delete(taskId);
    });
  }
  /** Until containerd answers again, or this daemon ends: then the next one does it. */
  async #persist(taskId: string, fn: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#deps;
    for (;;) {
      try {
        await fn();
        return;
      } catch (error) {
        const down = ContainerdError.is(error, 'UNAVAILABLE');
        if (!down || this.#closed) {
          log.warn({ task: taskId, error: messageOf(error) }, 'container not cleared away');
          return;
        }
        await delay(clock, AGAIN_MS);
      }
    }
  }
  #controllerById(id: string): ContainerdController {
    return new ContainerdController(this.#shared, AssignedTask.create({ id }));
  }
}

const ANSWER_MS = 2_000;
/** What has not come by then is not waited for: the tasks go on, and each is asked for its end. */
const OPEN_MS = 10_000;
const LIST_MS = 5_000;
const AGAIN_MS = 1_000;

/** Where even root can't raise it, as in a container, more is refused. */
function openFilesMax(io: Io): number {
  const text = io.read('/proc/self/limits')?.toString('utf8') ?? '';
  const hard = Number(/^Max open files\s+\S+\s+(\S+)/m.exec(text)?.[1]);
  return Number.isSafeInteger(hard) ? hard : Number.MAX_SAFE_INTEGER;
}
