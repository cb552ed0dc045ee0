import {
  AgentMessage,
  AgentTaskRecord,
  type AssignedTask,
  type Assignments,
  type CertificateNews,
  Hello,
  type Liveness,
  LocalTask,
  type LogRecord,
  type LogRequest,
  type ManagerMessage,
  type NetworkLookRequest,
  NodeDescription,
  type NodeNetwork,
  OnDisconnect,
  type StreamRequest,
  TaskState,
  TaskStatus,
  type TaskUsage,
  type Welcome,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Component } from '../../shared/lifecycle.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Io } from '../io.ts';
import type { TaskLogs } from '../logs/task-logs.ts';
import type { Network, NetworkRows } from '../network/network.ts';
import type { Exit, Runtime, RuntimeVolumes } from '../runtime.ts';
import { Acknowledger } from './acknowledger.ts';
import { diskFullText, isDiskFull } from './full-disk.ts';
import { Gate } from './gate.ts';
import { LocalStore } from './local-store.ts';
import { serveLogs } from './log-stream.ts';
import { OrderBook } from './order-book.ts';
import { Reporter } from './reporter.ts';
import { SecretBook } from './secret-book.ts';
import { Session } from './session.ts';
import { Streams, type Wire } from './streams.ts';
import { type RunnerDeps, TaskRunner } from './task-runner.ts';
import { serveTaskStream } from './task-stream.ts';
import { serveUsage } from './usage-stream.ts';
import type { VolumeAccess } from './volume-stream.ts';

export interface AgentDeps {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly stateDir: string;
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Opened and closed by the agent. */
  readonly runtimes: readonly Runtime[];
  /** Started and stopped by who made it, around the agent. */
  readonly network: Network;
  /** Started before and stopped after the agent. */
  readonly logs: TaskLogs;
  /** A new connection of its own to this manager; who calls closes it. */
  readonly dial: (address: string) => Client;
  /** Managers known from `join`, asked first while none are on disk. */
  readonly managers: readonly string[];
  /** Where else managers may be; asked after those that the leader named. */
  readonly otherManagers?: () => readonly string[];
  /** What this node finds of its network, built from these rows. */
  readonly examineNetwork?: (
    rows: NetworkRows,
    request: NetworkLookRequest,
  ) => Promise<NodeNetwork>;
  /** Without runtimes and their features: the agent adds these. */
  readonly describe: () => NodeDescription;
  readonly publishAddress: string;
  /** Identifies this boot of the machine; another one means that nothing of before still runs. */
  readonly bootId: string;
  readonly onManagers?: (addresses: readonly string[]) => void;
  readonly onCertificateNews?: (news: CertificateNews) => void;
  /** This node was removed from the cluster: its tasks are stopped and its network is down. */
  readonly onRemoved?: (reason: string) => void;
  readonly onConnected?: (connected: boolean, welcome: Welcome | undefined) => void;
}

const SAVE_NETWORK_MS = 1_000;

/** The worker's half of the cluster: takes the leader's orders and carries them out. */
export class Agent implements Component {
  readonly name = 'agent';
  readonly #deps: AgentDeps;
  readonly #store: LocalStore;
  readonly #reporter: Reporter;
  readonly #session: Session;
  readonly #streams: Streams;
  readonly #acknowledger: Acknowledger;
  readonly #runners = new Map<string, TaskRunner>();
  readonly #runnerDeps: RunnerDeps;
  readonly #disconnectTimers = new Set<Timer>();
  readonly #orders: OrderBook;
  readonly #secrets = new SecretBook();
  #managers: readonly string[];
  #features: { [key: string]: string } = {};
  #networkSave: Timer | undefined;
  #goodbye: Liveness | undefined;
  /** The disk did not take all orders since the last complete set. */
  #isUnwritten = false;
  #stopped = false;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    const { clock, random, log, io, network, logs } = deps;
    this.#store = new LocalStore(io, deps.stateDir, log);
    this.#orders = new OrderBook({ store: this.#store, ...deps });
    this.#managers = deps.managers;
    this.#reporter = new Reporter({
      clock,
      statusOf: (taskId) => this.#runners.get(taskId)?.report,
    });
    this.#acknowledger = new Acknowledger((index) =>
      this.#session.send(
        AgentMessage.create({ acknowledged: { index, report: this.#reporter.failuresReport } }),
      ),
    );
    this.#streams = new Streams({ log, serve: (request, wire) => this.#serve(request, wire) });
    this.#session = new Session({
      clock,
      random: random.stream('session'),
      log,
      dial: deps.dial,
      managers: () => [...new Set([...this.#managers, ...(deps.otherManagers?.() ?? [])])],
      hello: () => this.#hello(),
      onUp: (welcome) => this.#up(welcome),
      onDown: () => this.#down(),
      onMessage: (message) => this.#receive(message),
    });
    this.#runnerDeps = {
      clock,
      random: random.stream('tasks'),
      log,
      store: this.#store,
      reporter: this.#reporter,
      logs,
      network,
      starts: new Gate(LIMITS.parallelStartsMax),
      controller: (task) => this.#runtimeFor(task)?.controller(task, this.#secrets.of(task.id)),
      onForgotten: (taskId) => {
        this.#runners.delete(taskId);
        this.#secrets.forget(taskId);
      },
    };
  }
  get connected(): boolean {
    return this.#session.connected;
  }
  get managers(): readonly string[] {
    return this.#managers;
  }
  /** What the leader is told about this node. */
  get description(): NodeDescription {
    return this.#description();
  }
  async start(): Promise<void> {
    const held = await this.#openRuntimes();
    const managers = this.#store.readManagers();
    if (managers.length > 0) this.#managers = managers;
    this.#deps.network.onApplied((index, failures) => {
      this.#reporter.setListenFailures(failures);
      this.#acknowledger.applied(index);
    });
    for (const record of this.#store.loadTasks()) this.#adopt(record, held);
    const known = [...this.#runners.values()].filter((runner) => !runner.removed);
    this.#orders.load(known.map((runner) => runner.task));
    // What no file holds is asked for again.
    if (known.some((runner) => runner.lacksSecrets)) this.#orders.forgetDigest();
    this.#applyNetwork();
    this.#acknowledger.passed(this.#orders.position.index);
    this.#deps.logs.collect(new Set(this.#runners.keys()));
    this.#armDisconnect();
    this.#session.start();
  }
  /** What to say at `stop`. Without it nothing is said, and silence counts. */
  sayGoodbye(reason: typeof Liveness.RESTARTING | typeof Liveness.LEAVING): void {
    this.#goodbye = reason;
  }
  /** Ends this daemon's part; every task goes on. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#disconnectTimers) timer.cancel();
    this.#saveNetwork();
    this.#streams.stop();
    await this.#session.stop(this.#goodbye);
    this.#reporter.disconnect();
    await Promise.all([...this.#runners.values()].map((runner) => runner.close()));
    await Promise.all(this.#deps.runtimes.map((runtime) => runtime.close()));
  }
  /** Stops every task here and resolves when none is left: `leave`, and `stop --with-tasks`. */
  async stopTasks(message: string): Promise<void> {
    for (const runner of this.#runners.values()) runner.stopAs(TaskState.SHUTDOWN, message);
    await Promise.all(
      [...this.#runners.values()].map(async (runner) => {
        await runner.ended();
        await runner.release().catch((error) => {
          this.#deps.log.warn(
            { task: runner.id, error: messageOf(error) },
            'task not cleared away',
          );
        });
      }),
    );
  }
  /** Digests that tasks here need, and that their services may go back to. */
  keptImages(): ReadonlySet<string> {
    const live = [...this.#runners.values()].filter(
      ({ status }) => status.state < TaskState.COMPLETE,
    );
    return new Set(live.flatMap(({ task }) => task.keptImages));
  }
  localTasks(): readonly LocalTask[] {
    return [...this.#runners.values()].map(({ task, status }) =>
      LocalTask.create({
        id: task.id,
        serviceName: task.serviceName,
        slot: task.slot,
        desiredState: task.desiredState,
        status,
      }),
    );
  }
  /** Throws SwarmError NOT_FOUND when this node never ran the task, or its log is gone. */
  readLogs(taskId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    if (!this.#deps.logs.has(taskId)) {
      throw new SwarmError('NOT_FOUND', `This node has no log of task ${taskId}.`);
    }
    return this.#deps.logs.read(taskId, request, signal);
  }
  /** What a manager asked for on behalf of somebody. */
  async #serve(request: StreamRequest, wire: Wire): Promise<void> {
    const { clock, io, nodeId } = this.#deps;
    const { logs, task, usage } = request;
    if (task !== null) {
      const access = (id: string, ended: boolean) => this.#runner(id).access(ended);
      const status = (id: string, lines: number) => this.#runner(id).detailedStatus(lines);
      const volumes = () => this.#volumeAccess();
      await serveTaskStream({ clock, access, status, volumes }, task, wire);
    } else if (usage !== null) {
      const tasks = () => [...this.#runners.values()].map((runner) => runner.task);
      const look = (of: readonly AssignedTask[]) => this.#usage(of);
      await serveUsage({ io, clock, nodeId, tasks, usage: look }, usage, wire);
    } else if (request.network !== null) {
      wire.send({ network: await this.#examine(request.network) });
    } else if (logs !== null) {
      await serveLogs(this.readLogs(logs.taskId, logs, wire.signal), wire);
    } else throw new SwarmError('UNSUPPORTED', 'This node does not know what is asked for.');
  }
  async #examine(request: NetworkLookRequest): Promise<NodeNetwork> {
    const found = await this.#deps.examineNetwork?.(this.#orders.network, request);
    if (found !== undefined) return found;
    throw new SwarmError('UNSUPPORTED', 'This node cannot look at its network.');
  }
  #volumeAccess(): VolumeAccess {
    const volumes = this.#volumes;
    if (volumes === undefined)
      throw new SwarmError('UNSUPPORTED', 'This node runs no containers: it has no volumes.');
    return {
      volumes,
      usersOf: (name) => this.#usersOf(volumes, name),
      told: () => this.#reporter.told(),
    };
  }
  #usersOf(volumes: RuntimeVolumes, name: string): readonly string[] {
    const live = [...this.#runners.values()].filter(
      ({ status, task }) => status.state < TaskState.COMPLETE && task.spec?.container,
    );
    return live
      .filter(({ task }) => volumes.namesOf(task).includes(name))
      .map(({ task }) => (task.slot > 0 ? `${task.serviceName}.${task.slot}` : task.serviceName));
  }
  get #volumes(): RuntimeVolumes | undefined {
    return this.#deps.runtimes.find((runtime) => runtime.volumes !== undefined)?.volumes;
  }
  #runner(taskId: string): TaskRunner {
    const runner = this.#runners.get(taskId);
    if (runner !== undefined) return runner;
    throw new SwarmError('NOT_FOUND', `This node has no task ${taskId}.`);
  }
  async #usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]> {
    const parts = this.#deps.runtimes.map((runtime) =>
      runtime.usage(tasks.filter((task) => this.#runtimeFor(task) === runtime)),
    );
    return (await Promise.all(parts)).flat();
  }
  /** Something that `describe` tells has changed. */
  descriptionChanged(): void {
    this.#reporter.describe(this.#description());
  }

  /** Opens them and returns the ids of the tasks that they hold. */
  async #openRuntimes(): Promise<ReadonlySet<string>> {
    const held = new Set<string>();
    for (const runtime of this.#deps.runtimes) {
      await runtime.open();
      const { features } = await runtime.probe();
      Object.assign(this.#features, features);
      for (const task of await runtime.list()) held.add(task.taskId);
      const { volumes } = runtime;
      volumes?.onChange(() => this.#reporter.setVolumes(volumes.list()));
    }
    return held;
  }
  #adopt(record: AgentTaskRecord, held: ReadonlySet<string>): void {
    const task = record.task!;
    this.#reporter.resumeAfter(record.sequence);
    const runner = new TaskRunner(this.#runnerDeps, record);
    this.#runners.set(task.id, runner);
    const ran = record.status!.state === TaskState.RUNNING;
    runner.start(ran && !held.has(task.id) ? lostExit(this.#deps.clock.wallMs()) : undefined);
  }
  #runtimeFor(task: AssignedTask): Runtime | undefined {
    const container = task.spec?.container !== null && task.spec?.container !== undefined;
    return this.#deps.runtimes.find((runtime) =>
      container ? runtime.name !== 'process' : runtime.name !== 'containerd',
    );
  }
  #description(): NodeDescription {
    const base = this.#deps.describe();
    const features = { ...base.features, ...this.#features, network: this.#deps.network.tier };
    const runtimes = this.#deps.runtimes.map((runtime) => runtime.name);
    return NodeDescription.with(base, { features, runtimes });
  }
  #hello(): Hello {
    return Hello.create({
      nodeId: this.#deps.nodeId,
      description: this.#description(),
      publishAddress: this.#deps.publishAddress,
      tasks: [...this.#runners.values()].map((runner) => runner.report.report),
      position: this.#orders.position,
      digest: this.#orders.digest,
      reportSequence: this.#reporter.sequence,
      listenFailures: this.#reporter.listenFailures,
      volumes: this.#volumes?.list() ?? [],
    });
  }
  #up(welcome: Welcome): void {
    for (const timer of this.#disconnectTimers) timer.cancel();
    this.#disconnectTimers.clear();
    const uncommitted = [...this.#runners.values()].filter((runner) => runner.uncommitted);
    this.#reporter.connect(
      (report) => this.#session.send(AgentMessage.create({ report })),
      uncommitted.map((runner) => runner.id),
    );
    this.#acknowledger.tellAgain();
    this.#deps.onConnected?.(true, welcome);
  }
  #down(): void {
    this.#reporter.disconnect();
    this.#armDisconnect();
    this.#deps.onConnected?.(false, undefined);
  }
  #receive(message: ManagerMessage): void {
    try {
      this.#handle(message);
    } catch (error) {
      // The disk refuses: everything is asked for again, until it takes it.
      this.#deps.log.error({ error: messageOf(error) }, 'orders could not be written down');
      this.#orders.forgetDigest();
      this.#session.restart('orders could not be written down');
    }
  }
  #handle(message: ManagerMessage): void {
    if (message.assignments) this.#takeOrders(message.assignments);
    if (message.reportsCommitted) {
      for (const runner of this.#runners.values()) {
        runner.committed(message.reportsCommitted.sequence);
      }
      this.#reporter.committed(message.reportsCommitted.sequence);
    }
    if (message.managers) this.#takeManagers(message.managers.addresses);
    if (message.certificate) this.#deps.onCertificateNews?.(message.certificate);
    if (message.stream) {
      this.#streams.serve(message.stream, this.#session.address, this.#deps.dial);
    }
    if (message.removed) void this.#removed(message.removed.reason);
  }
  #takeOrders(message: Assignments): void {
    const applied = this.#orders.take(this.#secrets.takeOut(message));
    if (!applied.ok) {
      this.#session.restart(`orders are out of line: ${applied.why}`);
      return;
    }
    if (message.complete) this.#isUnwritten = false;
    for (const task of applied.changed) this.#orderOrRefuse(task);
    for (const id of applied.removed) this.#runners.get(id)?.dismiss();
    // A complete set knows nothing of a task that was only ours: it goes too.
    for (const runner of this.#runners.values()) {
      if (message.complete && !applied.orders.tasks.has(runner.id)) runner.dismiss();
    }
    this.#saveOrders(applied.networkChanged);
    this.#saveNetworkLater();
    if (applied.networkChanged) this.#applyNetwork();
    else this.#acknowledger.passed(applied.orders.position.index);
  }
  /** A new task that can't be written down is refused: it runs elsewhere, and this node goes on. */
  #orderOrRefuse(task: AssignedTask): void {
    try {
      this.#order(task);
    } catch (error) {
      if (!isDiskFull(error) || this.#runners.has(task.id)) throw error;
      this.#isUnwritten = true;
      const err = diskFullText(error);
      const { id } = task;
      const atWallMs = this.#deps.clock.wallMs();
      const state = TaskState.REJECTED;
      const status = TaskStatus.create({ id, state, message: err, err, atWallMs });
      const sequence = this.#reporter.next();
      const record = AgentTaskRecord.create({ task, status, sequence });
      const runner = new TaskRunner(this.#runnerDeps, record);
      this.#runners.set(id, runner);
      runner.start(undefined);
      this.#reporter.changed(id, true);
    }
  }
  /** What is not on the disk is asked for again by the next daemon. */
  #saveOrders(networkChanged: boolean): void {
    if (this.#isUnwritten) this.#orders.forgetDigest();
    try {
      this.#orders.save(networkChanged);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#isUnwritten = true;
      this.#deps.log.error({ error: messageOf(error) }, 'orders are carried out unwritten');
    }
  }
  #order(task: AssignedTask): void {
    const known = this.#runners.get(task.id);
    if (known) {
      known.assign(task);
      return;
    }
    this.#store.addTask(task.id);
    const status = TaskStatus.create({ id: task.id, state: TaskState.ASSIGNED });
    const record = AgentTaskRecord.create({ task, status });
    this.#store.taskFile(task.id).write(record);
    const runner = new TaskRunner(this.#runnerDeps, record);
    this.#runners.set(task.id, runner);
    runner.start(undefined);
  }
  #saveNetworkLater(): void {
    if (!this.#orders.networkWaits || this.#networkSave) return;
    this.#networkSave = this.#deps.clock.setTimer(SAVE_NETWORK_MS, () => this.#saveNetwork());
  }
  #saveNetwork(): void {
    this.#networkSave?.cancel();
    this.#networkSave = undefined;
    try {
      if (this.#orders.networkWaits) this.#orders.saveNetwork();
    } catch (error) {
      this.#deps.log.error({ error: messageOf(error) }, 'rows of the network were not written');
    }
  }
  #applyNetwork(): void {
    const rows = this.#orders.network;
    if (rows.index === 0) return;
    this.#acknowledger.pending(rows.index);
    this.#deps.network.apply(rows);
  }
  #takeManagers(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    const known = new Set(this.#managers);
    const isSame = known.size === addresses.length && addresses.every((one) => known.has(one));
    this.#managers = [...addresses];
    // A new order alone is not kept: a disk that hangs must not hold up a change of the leader.
    if (!isSame) this.#store.writeManagers(this.#managers);
    this.#deps.onManagers?.(this.#managers);
  }
  /** While no leader answers, tasks that asked for it are stopped after their time. */
  #armDisconnect(): void {
    if (this.#stopped) return;
    for (const runner of this.#runners.values()) {
      const spec = runner.task.spec;
      if (spec?.onDisconnect !== OnDisconnect.STOP) continue;
      // Not before the managers take this node for lost: a short break stops nothing.
      const afterMs = spec.onDisconnectAfterMs || DEFAULTS.nodeGraceMs;
      const timer = this.#deps.clock.setTimer(afterMs, () => {
        this.#disconnectTimers.delete(timer);
        runner.stopAs(TaskState.SHUTDOWN, 'stopped: this node lost its managers');
      });
      this.#disconnectTimers.add(timer);
    }
  }
  async #removed(reason: string): Promise<void> {
    this.#deps.log.warn({ reason }, 'this node was removed from its cluster');
    await this.stopTasks('stopped: this node was removed from the cluster');
    await this.#deps.network.destroy();
    this.#deps.onRemoved?.(reason);
  }
}

function lostExit(atWallMs: number): Exit {
  const message = 'nothing of it was found after a restart of the machine';
  return { code: 137, signal: 'SIGKILL', oom: false, atWallMs, message, lost: true };
}
