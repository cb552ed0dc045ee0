import {
  AgentMessage,
  type Assignments,
  type CertificateNews,
  Hello,
  type Liveness,
  type LocalTask,
  type LogRecord,
  type LogRequest,
  type ManagerMessage,
  type NetworkLookRequest,
  NodeDescription,
  type NodeNetwork,
  type StreamRequest,
  type Welcome,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { isPathName } from '../../shared/ids.ts';
import type { Component } from '../../shared/lifecycle.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Io } from '../io.ts';
import type { TaskLogs } from '../logs/task-logs.ts';
import type { Network, NetworkRows } from '../network/network.ts';
import type { Runtime } from '../runtime.ts';
import { Acknowledger } from './acknowledger.ts';
import { DisconnectStops } from './disconnect-stops.ts';
import { isDiskFull } from './full-disk.ts';
import { Gate } from './gate.ts';
import { LocalStore } from './local-store.ts';
import { LocalTasks } from './local-tasks.ts';
import { OrderBook } from './order-book.ts';
import { Reporter } from './reporter.ts';
import { Runtimes } from './runtimes.ts';
import { SecretBook } from './secret-book.ts';
import { serveRequest } from './serve-request.ts';
import { Session } from './session.ts';
import { Streams, type Wire } from './streams.ts';

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
  readonly #runtimes: Runtimes;
  readonly #store: LocalStore;
  readonly #tasks: LocalTasks;
  readonly #orders: OrderBook;
  readonly #secrets = new SecretBook();
  readonly #reporter: Reporter;
  readonly #acknowledger: Acknowledger;
  readonly #session: Session;
  readonly #streams: Streams;
  readonly #disconnectStops: DisconnectStops;
  #managers: readonly string[];
  #networkSave: Timer | undefined;
  #goodbye: Liveness | undefined;
  /** The disk did not take all orders since the last complete set. */
  #isUnwritten = false;
  #stopped = false;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    const { clock, random, log, io } = deps;
    this.#runtimes = new Runtimes(deps.runtimes);
    this.#store = new LocalStore(io, deps.stateDir, log);
    this.#orders = new OrderBook({ store: this.#store, ...deps });
    this.#managers = deps.managers;
    this.#reporter = new Reporter({ clock, statusOf: (taskId) => this.#tasks.report(taskId) });
    this.#tasks = this.#makeTasks();
    this.#acknowledger = new Acknowledger((index) =>
      this.#session.send(
        AgentMessage.create({ acknowledged: { index, report: this.#reporter.failuresReport } }),
      ),
    );
    this.#streams = new Streams({ log, serve: (request, wire) => this.#serve(request, wire) });
    this.#disconnectStops = new DisconnectStops(clock);
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
  }
  #makeTasks(): LocalTasks {
    const { clock, random, log, network, logs } = this.#deps;
    return new LocalTasks({
      clock,
      random: random.stream('tasks'),
      log,
      store: this.#store,
      reporter: this.#reporter,
      logs,
      network,
      starts: new Gate(LIMITS.parallelStartsMax),
      controller: (task) => this.#runtimes.controller(task, this.#secrets.of(task.id)),
      onForgotten: (taskId) => this.#secrets.forget(taskId),
    });
  }

  async start(): Promise<void> {
    const held = await this.#runtimes.open();
    const { volumes } = this.#runtimes;
    volumes?.onChange(() => this.#reporter.setVolumes(volumes.list()));
    const managers = this.#store.readManagers();
    if (managers.length > 0) this.#managers = managers;
    this.#deps.network.onApplied((index, failures) => {
      this.#reporter.setListenFailures(failures);
      this.#acknowledger.applied(index);
    });
    this.#tasks.load(held);
    const { all, wanted } = this.#tasks;
    this.#orders.load(wanted.map((runner) => runner.task));
    // What no file holds is asked for again.
    if (wanted.some((runner) => runner.lacksSecrets)) this.#orders.forgetDigest();
    this.#applyNetwork();
    this.#acknowledger.passed(this.#orders.position.index);
    this.#deps.logs.collect(new Set(all.map(({ id }) => id)));
    this.#disconnectStops.arm(all);
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
    this.#disconnectStops.disarm();
    this.#saveNetwork();
    this.#streams.stop();
    await this.#session.stop(this.#goodbye);
    this.#reporter.disconnect();
    await this.#tasks.close();
    await this.#runtimes.close();
  }
  /** Stops every task here and resolves when none is left: `leave`, and `stop --with-tasks`. */
  stopTasks(message: string): Promise<void> {
    return this.#tasks.stop(message);
  }

  // -- what this node is asked for

  get connected(): boolean {
    return this.#session.connected;
  }
  get managers(): readonly string[] {
    return this.#managers;
  }
  /** What the leader is told about this node. */
  get description(): NodeDescription {
    const base = this.#deps.describe();
    const network = this.#deps.network.tier;
    const features = { ...base.features, ...this.#runtimes.features, network };
    return NodeDescription.with(base, { features, runtimes: this.#runtimes.names });
  }
  /** Something that `describe` tells has changed. */
  descriptionChanged(): void {
    this.#reporter.describe(this.description);
  }
  /** Digests that tasks here need, and that their services may go back to. */
  keptImages(): ReadonlySet<string> {
    return this.#tasks.keptImages();
  }
  localTasks(): readonly LocalTask[] {
    return this.#tasks.describe();
  }
  /** Throws SwarmError NOT_FOUND when this node never ran the task, or its log is gone. */
  readLogs(taskId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    if (!isPathName(taskId) || !this.#deps.logs.has(taskId)) {
      throw new SwarmError('NOT_FOUND', `This node has no log of task ${taskId}.`);
    }
    return this.#deps.logs.read(taskId, request, signal);
  }
  #serve(request: StreamRequest, wire: Wire): Promise<void> {
    const { io, clock, nodeId, examineNetwork } = this.#deps;
    const deps = {
      nodeId,
      io,
      clock,
      tasks: this.#tasks,
      runtimes: this.#runtimes,
      readLogs: this.readLogs.bind(this),
      examineNetwork:
        examineNetwork &&
        ((asked: NetworkLookRequest) => examineNetwork(this.#orders.network, asked)),
      told: () => this.#reporter.told(),
    };
    return serveRequest(deps, request, wire);
  }

  // -- the session with the leader

  #hello(): Hello {
    return Hello.create({
      nodeId: this.#deps.nodeId,
      description: this.description,
      publishAddress: this.#deps.publishAddress,
      tasks: this.#tasks.reports(),
      position: this.#orders.position,
      digest: this.#orders.digest,
      reportSequence: this.#reporter.sequence,
      listenFailures: this.#reporter.listenFailures,
      volumes: this.#runtimes.volumes?.list() ?? [],
    });
  }
  #up(welcome: Welcome): void {
    this.#disconnectStops.disarm();
    const uncommitted = this.#tasks.all.filter((runner) => runner.uncommitted);
    this.#reporter.connect(
      (report) => this.#session.send(AgentMessage.create({ report })),
      uncommitted.map((runner) => runner.id),
    );
    this.#acknowledger.tellAgain();
    this.#deps.onConnected?.(true, welcome);
  }
  #down(): void {
    this.#reporter.disconnect();
    if (!this.#stopped) this.#disconnectStops.arm(this.#tasks.all);
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
      const { sequence } = message.reportsCommitted;
      for (const runner of this.#tasks.all) runner.committed(sequence);
      this.#reporter.committed(sequence);
    }
    if (message.managers) this.#takeManagers(message.managers.addresses);
    if (message.certificate) this.#deps.onCertificateNews?.(message.certificate);
    if (message.stream) {
      this.#streams.serve(message.stream, this.#session.address, this.#deps.dial);
    }
    if (message.removed) void this.#removed(message.removed.reason);
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
  async #removed(reason: string): Promise<void> {
    this.#deps.log.warn({ reason }, 'this node was removed from its cluster');
    await this.stopTasks('stopped: this node was removed from the cluster');
    await this.#deps.network.destroy();
    this.#deps.onRemoved?.(reason);
  }

  // -- orders

  #takeOrders(message: Assignments): void {
    const applied = this.#orders.take(this.#secrets.takeOut(message));
    if (!applied.ok) {
      this.#session.restart(`orders are out of line: ${applied.why}`);
      return;
    }
    if (message.complete) this.#isUnwritten = false;
    for (const task of applied.changed) {
      if (!this.#tasks.take(task)) this.#isUnwritten = true;
    }
    for (const id of applied.removed) this.#tasks.find(id)?.dismiss();
    // A complete set knows nothing of a task that was only ours: it goes too.
    const kept = message.complete ? this.#tasks.all : [];
    for (const runner of kept) if (!applied.orders.tasks.has(runner.id)) runner.dismiss();
    this.#saveOrders(applied.networkChanged);
    this.#saveNetworkLater();
    if (applied.networkChanged) this.#applyNetwork();
    else this.#acknowledger.passed(applied.orders.position.index);
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
}
