import type { Socket } from 'node:net';
import { join } from 'node:path';
import {
  ContainersService,
  type MountPoint,
  type Process,
  ProcessStatus,
  SnapshotsService,
  TasksService,
} from '../../../proto/containerd.ts';
import type { AssignedTask, ExecRequest, FilesRequest } from '../../../proto/index.ts';
import { delay } from '../../../shared/clock.ts';
import type { OnProgress } from '../../../shared/distribution/source.ts';
import { ContainerdError, unless } from '../../containerd.ts';
import type { ReadyImage } from '../../images/image-store.ts';
import { SNAPSHOTTER } from '../../images/layer-store.ts';
import { type PullState, PullSummary } from '../../images/pull-progress.ts';
import { ACTIONS, openFiles } from '../../inside/files-session.ts';
import {
  type AttachSession,
  type ExecSession,
  type Exit,
  type FilesSession,
  RuntimeError,
  type RuntimeStatus,
  type TaskController,
  type TaskSecrets,
} from '../../runtime.ts';
import { containerOf, refuse } from '../oci/spec.ts';
import { cancelledExit, exitOf, lostExit } from '../process/exit.ts';
import { attachToContainer, INPUT_FIFO } from './attach.ts';
import { execInContainer } from './container-exec.ts';
import { ContainerMaker, rootMounts, runcOptions } from './container-maker.ts';
import { asRuntimeError } from './errors.ts';
import { execToEnd } from './exec.ts';
import { makeFifos } from './fifo.ts';
import { keptFiles } from './kept-files.ts';
import { untilDelivered } from './last-bytes.ts';
import { type ProcessEnd, timestampMs } from './process-end.ts';
import { type ContainerRecord, endpointOf, isOnNetworks } from './records.ts';
import type { ContainerdShared } from './shared.ts';
import { signalNumber } from './signals.ts';

/** How long a killed container may take to be gone. */
const KILL_MS = 30_000;
const RETRY_MS = 200;
const SIGKILL = 9;

/** One container, from its image to its end. Everything it needs to know of before is on the disk. */
export class ContainerdController implements TaskController {
  readonly #shared: ContainerdShared;
  readonly #task: AssignedTask;
  readonly #secrets: TaskSecrets | undefined;
  readonly #id: string;
  readonly #maker: ContainerMaker;
  /** Taken by the next `prepare`. */
  #fetched: ReadyImage | undefined;
  /** Its container was made here just now: there is no task of it yet. */
  #made: readonly MountPoint[] | undefined;
  /** Of its process, as far as it is known without asking. */
  #pid: number;
  /** It does, as far as is known without asking. */
  #runs: boolean;

  constructor(shared: ContainerdShared, task: AssignedTask, secrets?: TaskSecrets, seen?: Process) {
    this.#shared = shared;
    this.#task = task;
    this.#secrets = secrets;
    this.#id = task.id;
    this.#maker = new ContainerMaker(shared, task);
    this.#pid = seen?.pid ?? 0;
    this.#runs = seen !== undefined;
  }
  async fetch(signal: AbortSignal, onProgress: (state: PullState) => void): Promise<void> {
    const { records, boot } = this.#shared;
    const before = records.read(this.#id);
    if (records.exit(this.#id) || records.started(this.#id)) return;
    if (before?.prepared && before.boot === boot) return;
    this.#refuse();
    try {
      await this.#shared.ready();
      this.#fetched = await this.#image(signal, onProgress);
    } catch (error) {
      const told = asRuntimeError(error, 'get the image');
      if (told instanceof RuntimeError && told.code === 'RESOURCE')
        await this.#shared.collectImages();
      throw told;
    }
  }
  async prepare(signal: AbortSignal): Promise<void> {
    const { records, boot } = this.#shared;
    if (records.exit(this.#id) || records.started(this.#id)) return;
    const before = records.read(this.#id);
    if (before?.prepared && before.boot === boot) return;
    // After a restart of the machine its network and ports are gone, and others may have them.
    if (before && before.boot !== boot) await this.dismantle();
    this.#refuse();
    try {
      await this.#shared.ready();
      const image = this.#fetched ?? (await this.#image(signal, () => undefined));
      this.#fetched = undefined;
      await this.#shared.starts.run(async () => {
        this.#made = await this.#maker.make(image);
      });
    } catch (error) {
      await this.dismantle().catch(() => undefined);
      throw asRuntimeError(error, 'make the container');
    }
  }
  async start(): Promise<void> {
    const { records } = this.#shared;
    if (records.exit(this.#id) && !records.started(this.#id)) {
      throw new RuntimeError('LOST', 'it was stopped before it started');
    }
    try {
      if (await this.exitNow()) return;
      await this.#shared.starts.run(() => this.#start());
    } catch (error) {
      throw asRuntimeError(error, 'start the container');
    }
  }
  async wait(signal: AbortSignal): Promise<Exit> {
    const { records, containerd, clock } = this.#shared;
    for (;;) {
      signal.throwIfAborted();
      const known = records.exit(this.#id);
      if (known) return known;
      try {
        // Should it have ended since, the wait is over at once.
        const exit = this.#runs ? undefined : await this.exitNow();
        if (exit) return await this.#ended(exit, true);
        const options = { timeoutMs: Number.POSITIVE_INFINITY, signal };
        const wait = containerd.call(TasksService.wait, { containerId: this.#id }, options);
        const { exitStatus, exitedAt } = await wait;
        const told = this.exitBy({ status: ProcessStatus.STOPPED, exitStatus, exitedAt });
        if (told) return await this.#ended(told, true);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ContainerdError)) throw error;
        this.#runs = false;
        if (records.exit(this.#id)) continue;
        // containerd is restarting, or the task is just being made.
        await delay(clock, RETRY_MS);
      }
    }
  }
  async shutdown(signal: AbortSignal): Promise<void> {
    if (await this.#cancel()) return;
    const { records } = this.#shared;
    const grace = this.#task.spec?.container?.stopGraceMs ?? 0;
    const name = records.read(this.#id)?.stopSignal ?? 'SIGTERM';
    if (!records.exit(this.#id)) {
      await this.#sendStop(signalNumber(name), grace, signal);
      await this.#exitWithin(grace, signal);
    }
    await this.terminate();
  }
  /** A containerd that is away is waited for, up to the grace: no task is killed unasked. */
  async #sendStop(stopSignal: number, graceMs: number, signal: AbortSignal): Promise<void> {
    const { containerd, records, clock } = this.#shared;
    const request = { containerId: this.#id, signal: stopSignal };
    const untilMs = clock.monotonicMs() + graceMs;
    while (!records.exit(this.#id)) {
      try {
        await unless(containerd.call(TasksService.kill, request), 'NOT_FOUND', 'STATE');
        return;
      } catch (error) {
        if (!ContainerdError.is(error, 'UNAVAILABLE')) throw error;
        if (signal.aborted || clock.monotonicMs() >= untilMs) return;
        await delay(clock, RETRY_MS);
      }
    }
  }
  async terminate(): Promise<void> {
    if (await this.#cancel()) return;
    const { containerd, records } = this.#shared;
    if (!records.exit(this.#id)) {
      const request = { containerId: this.#id, signal: SIGKILL, all: true };
      await unless(containerd.call(TasksService.kill, request), 'NOT_FOUND', 'STATE');
      await this.#exitWithin(KILL_MS);
    }
    if (records.exit(this.#id)) return;
    throw new RuntimeError('IO', `task ${this.#id} does not end, although it was killed`, true);
  }
  async remove(): Promise<void> {
    if (!(await this.#cancel()) && !(await this.exitNow())) {
      throw new RuntimeError('NOT_ALLOWED', `task ${this.#id} still runs: shut it down first`);
    }
    const { records, settle, settled } = this.#shared;
    records.markRemoving(this.#id);
    try {
      // Asked first: what is under way for this task waits for containerd, and this does not.
      await this.#process();
      await settled(this.#id);
      await this.clear();
    } catch (error) {
      if (!ContainerdError.is(error, 'UNAVAILABLE')) throw error;
      // Nobody asks for it again: it goes when containerd is back.
      settle(this.#id, () => this.clear());
    }
  }
  async status(): Promise<RuntimeStatus> {
    const { records } = this.#shared;
    const ended = records.exit(this.#id) !== undefined;
    const asked = this.#pid === 0 && !ended && records.started(this.#id);
    const process = asked ? await this.#process().catch(() => undefined) : undefined;
    const record = records.read(this.#id);
    const host = record?.network === 'host' ? '127.0.0.1' : this.#shared.network.address;
    const { ports = [], warning = '', check } = record ?? {};
    return { pid: ended ? 0 : (process?.pid ?? this.#pid), ports, warning, host, check };
  }
  async probeCommand(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ code: number; output: string }> {
    const { records, clock } = this.#shared;
    const directory = records.files(this.#id);
    for (;;) {
      const result = await execToEnd(this.#shared, this.#id, command, timeoutMs, directory);
      // While containerd restarts nothing can be said of its tasks.
      if (result !== 'unavailable') return result;
      if (records.exit(this.#id)) return { code: -1, output: 'the task is not there any more' };
      await delay(clock, RETRY_MS);
    }
  }
  async exec(request: ExecRequest): Promise<ExecSession> {
    this.#needRunning();
    return execInContainer(this.#shared, this.#id, request);
  }
  async attach(): Promise<AttachSession> {
    return attachToContainer(this.#shared, this.#id, this.#needRunning().terminal);
  }
  async dial(port: number): Promise<Socket> {
    const { dialers, network } = this.#shared;
    const record = this.#needRunning();
    if (record.network !== undefined) {
      const { pid = 0 } = (await this.#process()) ?? {};
      return dialers.connect(`/proc/${pid}/ns/net`, ['127.0.0.1', '::1'], port);
    }
    const hosts = ['127.0.0.1', network.containerAddress(endpointOf(this.#id, record))];
    return dialers.connect(network.namespacePath(this.#id), hosts, port);
  }
  async files(request: FilesRequest): Promise<FilesSession> {
    const { records } = this.#shared;
    if (records.exit(this.#id) && records.started(this.#id)) {
      const kept = await unless(rootMounts(this.#shared, this.#id), 'NOT_FOUND');
      return keptFiles(this.#shared, this.#id, kept ?? [], request);
    }
    this.#needRunning();
    const { io, inside } = this.#shared;
    const pid = (await this.#process())?.pid ?? 0;
    if (pid === 0) throw new RuntimeError('NOT_RUNNING', `task ${this.#id} does not run any more`);
    const { path, followLink, keepOwner } = request;
    const action = ACTIONS[request.action];
    const root = `/proc/${pid}/root`;
    return openFiles(io, inside, { action, root, path, followLink, keepOwner, user: null });
  }
  #needRunning(): ContainerRecord {
    const { records } = this.#shared;
    const record = records.read(this.#id);
    if (record && records.started(this.#id) && !records.exit(this.#id)) return record;
    throw new RuntimeError('NOT_RUNNING', `task ${this.#id} does not run any more`);
  }
  /** Takes away what is left, and then the record. */
  async clear(): Promise<void> {
    const { dismantled, records, retired } = this.#shared;
    if (!dismantled.has(this.#id)) await this.dismantle();
    dismantled.delete(this.#id);
    retired.delete(this.#id);
    records.forget(this.#id);
  }
  /** Undefined while it runs, or may yet begin to. */
  async exitNow(): Promise<Exit | undefined> {
    const { records } = this.#shared;
    const known = records.exit(this.#id);
    if (known || !records.started(this.#id)) return known;
    return this.exitBy(await this.#process());
  }
  /** The same of what containerd said of it; undefined: it knows nothing of it. */
  exitBy(process: ProcessEnd | undefined): Exit | undefined {
    const { records, clock, boot, cgroups } = this.#shared;
    const known = records.exit(this.#id);
    if (known || !records.started(this.#id)) return known;
    if (process?.status === ProcessStatus.STOPPED) {
      const code = process.exitStatus;
      const atMs = timestampMs(process.exitedAt) || clock.wallMs();
      return exitOf(code, atMs, code === 137 && cgroups.oomKilled(this.#id));
    }
    if (process) return undefined;
    const restarted = records.read(this.#id)?.boot !== boot;
    const why = restarted ? 'the machine restarted' : 'its container was taken away by somebody';
    return lostExit(clock.wallMs(), why);
  }
  /**
   * It has ended, or never will begin: what others may have now goes. Its files stay until it is removed.
   * Repeatable; what runs is killed.
   */
  async retire(): Promise<void> {
    if (this.#shared.retired.has(this.#id)) return;
    await this.#giveBack();
    await this.#leaveNode();
  }
  /** Takes away everything of the container but its record. Repeatable. */
  async dismantle(): Promise<void> {
    const { containerd, volumes } = this.#shared;
    const id = this.#id;
    this.#made = undefined;
    await this.retire();
    await unless(containerd.call(ContainersService.delete, { id }), 'NOT_FOUND');
    const snapshot = { snapshotter: SNAPSHOTTER, key: id };
    await unless(containerd.call(SnapshotsService.remove, snapshot), 'NOT_FOUND');
    volumes.removeOwn(id);
    this.#shared.dismantled.add(id);
  }
  /** What others may wait for. */
  async #giveBack(isDeleted = false): Promise<void> {
    const { network, ports, records, publish, units } = this.#shared;
    const id = this.#id;
    const record = records.read(id);
    publish(id, []);
    if (!isDeleted) await this.#deleteTask();
    if (isOnNetworks(record)) await network.detach(id);
    if (record) ports.release(id, record.ports);
    units.release(id);
  }
  async #leaveNode(): Promise<void> {
    const { network, records, retired, addresses, volumes } = this.#shared;
    const id = this.#id;
    const record = records.read(id);
    await network.detach(id);
    await volumes.release(id);
    // Another one may have it by now.
    if (record && addresses.get(record.index) === id) addresses.delete(record.index);
    records.removeFiles(id);
    retired.add(id);
  }
  /** What needs no image: nothing is pulled in vain. */
  #refuse(): void {
    const { node, host } = this.#shared;
    refuse({ task: this.#task, node, host: host() });
  }
  #image(signal: AbortSignal, tell: (state: PullState) => void): Promise<ReadyImage> {
    const { images } = this.#shared;
    const { image } = containerOf(this.#task);
    const summary = new PullSummary(image);
    const onProgress: OnProgress = (progress) => {
      summary.add(progress);
      tell(summary.state);
    };
    tell(summary.state);
    const auth = this.#secrets?.registryAuth();
    const awaitsAuth = auth === undefined && this.#task.registryAuth !== null;
    const onManagers = this.#task.imageOnManagers;
    return images.ensure({ image, auth, awaitsAuth, onManagers, onProgress, signal });
  }
  async #start(): Promise<void> {
    const { containerd, records } = this.#shared;
    const containerId = this.#id;
    const rootfs = this.#made;
    this.#made = undefined;
    const process = rootfs === undefined ? await this.#process() : undefined;
    let created = process?.status === ProcessStatus.CREATED;
    if (!process && !records.started(this.#id)) {
      await this.#create(rootfs ?? (await rootMounts(this.#shared, containerId)));
      created = true;
    }
    if (!records.started(this.#id)) await records.markStarted(this.#id);
    if (!created) return;
    try {
      await containerd.call(TasksService.start, { containerId });
      this.#runs = true;
    } catch (error) {
      // It may have been started by a call whose answer was lost.
      const now = await this.#process();
      if (now === undefined || now.status === ProcessStatus.CREATED) throw error;
    }
  }
  async #create(rootfs: readonly MountPoint[]): Promise<void> {
    const { containerd, io, logDirectory, records } = this.#shared;
    const directory = logDirectory(this.#id);
    io.mkdir(directory);
    const [stdout, stderr] = [join(directory, 'out'), join(directory, 'err')];
    // containerd appends to files that are there; others it would make for both outputs together.
    for (const path of [stdout, stderr]) io.append(path, Buffer.alloc(0));
    const terminal = records.read(this.#id)?.terminal === true;
    // Who has a terminal can be typed to, later, by whoever attaches.
    const stdin = terminal ? join(records.files(this.#id), INPUT_FIFO) : '';
    if (terminal) await makeFifos(io, [stdin]);
    const { pid } = await containerd.call(TasksService.create, {
      containerId: this.#id,
      rootfs,
      stdin,
      stdout,
      stderr: terminal ? '' : stderr,
      terminal,
      options: runcOptions(this.#shared),
    });
    this.#pid = pid;
  }
  async #process(): Promise<Process | undefined> {
    const get = this.#shared.containerd.call(TasksService.get, { containerId: this.#id });
    return (await unless(get, 'NOT_FOUND'))?.process ?? undefined;
  }
  /** True when nothing of it ran or ever will. */
  async #cancel(): Promise<boolean> {
    const { records, clock } = this.#shared;
    if (records.started(this.#id)) return false;
    if (!records.exit(this.#id)) await this.#ended(cancelledExit(clock.wallMs()));
    return true;
  }
  async #exitWithin(ms: number, signal?: AbortSignal): Promise<void> {
    const { clock } = this.#shared;
    const limit = new AbortController();
    const timer = clock.setTimer(ms, () => limit.abort());
    const signals = signal ? [limit.signal, signal] : [limit.signal];
    try {
      await this.wait(AbortSignal.any(signals));
    } catch (error) {
      signal?.throwIfAborted();
      if (!limit.signal.aborted) throw error;
    } finally {
      timer.cancel();
    }
  }
  /** The exit is safe before what containerd knows of it goes; then nothing of it holds resources. */
  #ended(exit: Exit, hasStopped = false): Promise<Exit> {
    const { records, ending } = this.#shared;
    const known = records.exit(this.#id);
    if (known) return Promise.resolve(known);
    const running = ending.get(this.#id) ?? this.#end(exit, hasStopped);
    ending.set(this.#id, running);
    return running.finally(() => ending.delete(this.#id));
  }
  async #end(exit: Exit, hasStopped: boolean): Promise<Exit> {
    const { settle, starts, records } = this.#shared;
    const id = this.#id;
    await records.writeExit(id, exit);
    // Its last output is in the files only after this.
    const isDeleted = await this.#deleteTask(hasStopped).catch(() => false);
    // Of what never began there is nothing to look at.
    const ran = records.started(id);
    if (ran && isOnNetworks(records.read(id))) await untilDelivered(this.#shared, id);
    settle(id, async () => {
      await this.#giveBack(isDeleted);
      await starts.quiet();
      await (ran ? this.#leaveNode() : this.dismantle());
    });
    return exit;
  }
  async #deleteTask(hasStopped = false): Promise<true> {
    const { containerd } = this.#shared;
    const containerId = this.#id;
    const process = hasStopped ? undefined : await this.#process();
    if (!process && !hasStopped) return true;
    if (process && process.status !== ProcessStatus.STOPPED) {
      const kill = containerd.call(TasksService.kill, { containerId, signal: SIGKILL, all: true });
      await unless(kill, 'NOT_FOUND', 'STATE');
      const wait = containerd.call(TasksService.wait, { containerId }, { timeoutMs: KILL_MS });
      await unless(wait, 'NOT_FOUND');
    }
    await unless(containerd.call(TasksService.delete, { containerId }), 'NOT_FOUND');
    return true;
  }
}
