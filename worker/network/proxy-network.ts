import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ListenFailure, NetdHello, type NetdHelloAnswer } from '../../proto/index.ts';
import { Backoff } from '../../shared/backoff.ts';
import { type Clock, delay } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { NamesWish } from './names/names-feed.ts';
import { formatNetdArguments } from './netd/arguments.ts';
import { countEstablished, localPortsOf } from './netd/connection-counts.ts';
import { ROWS_FILE } from './netd/rows-file.ts';
import { NETD_PROTOCOL } from './netd/version.ts';
import { publishesAnything } from './netd/wish.ts';
import { NetdClient } from './netd-client.ts';
import { NetdOutbox } from './netd-outbox.ts';
import { type NetdCommand, NetdProcess } from './netd-process.ts';
import { NetdPulse, netdAt, PULSE, type PulseTimes } from './netd-pulse.ts';
import type { Network, NetworkRows, TaskPort } from './network.ts';

export interface ProxyNetworkDeps {
  readonly stateDir: string;
  /** Default `netd.sock` in the state directory; at most 100 bytes. */
  readonly socketPath?: string | undefined;
  readonly nodeId: string;
  /** Where published ports listen, unless the port itself says. */
  readonly publishAddress: string;
  /** This release, as netd's own `versionText`; a running netd of an older one is replaced. */
  readonly versionText: string;
  /** Starts netd, without the arguments of `formatNetdArguments`, which are added here. */
  readonly netd: NetdCommand;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** When a netd counts as hung; default: after about 13 s. */
  readonly pulse?: PulseTimes;
}

/** Between two tries to connect while a netd is starting. */
const RECONNECT_MS = 20;
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
/** A netd that lived this long is restarted at once when it dies. */
const STEADY_MS = 10_000;
const COUNT_MS = 1_000;
const END_MS = 5_000;

type AppliedFn = (index: number, failures: readonly ListenFailure[]) => void;

/** The network tier without kernel features: keeps a netd running and tells it the rows. */
export class ProxyNetwork implements Network {
  readonly tier = 'proxy' as const;
  readonly #deps: ProxyNetworkDeps;
  readonly #socketPath: string;
  readonly #command: NetdCommand;
  readonly #process: NetdProcess;
  readonly #backoff: Backoff;
  readonly #appliedFns: AppliedFn[] = [];
  #rows: NetworkRows | undefined;
  readonly #taskPorts = new Map<string, readonly TaskPort[]>();
  #names: NamesWish | undefined;
  #client: NetdClient | undefined;
  /** What that netd knows. */
  #outbox = new NetdOutbox(NETD_PROTOCOL);
  #failures: readonly ListenFailure[] = [];
  #connecting: Promise<void> | undefined;
  readonly #pulse: NetdPulse;
  /** Rows went out and were not answered yet: the next ones wait, and only the latest. */
  #inFlight = false;
  #rowsWaiting = false;
  #needed = false;
  #running = false;
  #restartAtMs = 0;
  #connectedAtMs = 0;

  constructor(deps: ProxyNetworkDeps) {
    this.#deps = deps;
    this.#socketPath = deps.socketPath ?? join(deps.stateDir, 'netd.sock');
    const args = formatNetdArguments({ stateDir: deps.stateDir, socketPath: this.#socketPath });
    this.#command = { execPath: deps.netd.execPath, args: [...deps.netd.args, ...args] };
    this.#process = new NetdProcess(this.#command, join(deps.stateDir, 'netd.log'), deps.log);
    this.#backoff = new Backoff(deps.random, RESTART_MIN_MS, RESTART_MAX_MS);
    this.#pulse = new NetdPulse(deps.clock, this.#times, () => this.#endHung());
  }
  /** Takes up a netd that runs, or starts one where it had ports to publish; never waits for it. */
  async start(): Promise<void> {
    this.#running = true;
    if (existsSync(join(this.#deps.stateDir, ROWS_FILE)) || existsSync(this.#socketPath))
      this.#need();
  }
  async stop(): Promise<void> {
    this.#running = false;
    this.#pulse.stop();
    this.#client?.close();
    this.#client = undefined;
  }
  async destroy(): Promise<void> {
    const client = this.#client;
    await this.stop();
    await this.#connecting;
    await this.#endNetd();
    client?.close();
    if (this.#process.running) this.#process.kill();
    await rm(join(this.#deps.stateDir, ROWS_FILE), { force: true });
    await rm(this.#socketPath, { force: true });
  }
  apply(rows: NetworkRows, names = this.#names): void {
    this.#rows = rows;
    this.#names = names;
    if (this.#needed || this.#publishes(rows)) {
      this.#need();
      this.#sendRows();
    } else queueMicrotask(() => this.#applied(rows.index, []));
  }
  /** The task ports of a container, which processes have by themselves; none: it has ended. */
  setTaskPorts(taskId: string, ports: readonly TaskPort[]): void {
    if (ports.length > 0) this.#taskPorts.set(taskId, ports);
    else if (!this.#taskPorts.delete(taskId)) return;
    this.#changed();
  }
  /** What tasks of this node may ask for by name; undefined: none of them asks. */
  setNames(names: NamesWish | undefined): void {
    this.#names = names;
    this.#changed();
  }
  onApplied(fn: AppliedFn): void {
    this.#appliedFns.push(fn);
  }
  /**
   * Connections that are open to a task of this node, also those that came by way of other nodes;
   * what netd cannot say is read from the kernel's table here.
   */
  async openConnections(taskId: string): Promise<number> {
    const counted = await this.#within(COUNT_MS, this.#client?.count(taskId));
    if (counted !== undefined) return counted;
    if (this.#rows === undefined) return 0;
    return countEstablished(localPortsOf(this.#rows, this.#deps.nodeId, taskId));
  }

  #changed(): void {
    if (this.#rows === undefined) return;
    if (this.#needed || this.#publishes(this.#rows)) {
      this.#need();
      this.#sendRows();
    }
  }
  #need(): void {
    this.#needed = true;
    if (this.#client !== undefined || !this.#running) return;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
      // It may have been lost again before this promise was settled.
      if (this.#needed && this.#client === undefined) this.#need();
    });
  }
  async #connect(): Promise<void> {
    while (this.#running) {
      const client = await this.#tryOnce();
      if (client !== undefined && (await this.#greet(client))) return;
      if (client === undefined && !this.#hasWork()) return this.#rest();
      if (client === undefined) this.#startWhenDue();
      await delay(this.#deps.clock, RECONNECT_MS);
    }
  }
  #publishes({ services }: NetworkRows): boolean {
    if (this.#names !== undefined) return true;
    return publishesAnything({ services, taskPorts: [...this.#taskPorts] });
  }
  #hasWork(): boolean {
    if (this.#rows !== undefined) return this.#publishes(this.#rows);
    return existsSync(join(this.#deps.stateDir, ROWS_FILE));
  }
  /** No netd runs and none is needed: what the rows ask for is in effect as it is. */
  #rest(): void {
    this.#needed = false;
    if (this.#rows !== undefined) this.#applied(this.#rows.index, []);
  }
  #startWhenDue(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (!this.#running || this.#process.running || nowMs < this.#restartAtMs) return;
    this.#restartAtMs = nowMs + this.#backoff.nextDelayMs();
    this.#process.start();
  }
  /** Takes the answer to the hello, or nothing when the connection ended before it. */
  #answer: (answer: NetdHelloAnswer | undefined) => void = () => undefined;
  #tryOnce(): Promise<NetdClient | undefined> {
    let client: NetdClient | undefined;
    const events = {
      onHello: (answer: NetdHelloAnswer) => this.#answer(answer),
      onApplied: (index: number, failures: readonly ListenFailure[]) => {
        if (this.#client === client) this.#netdApplied(index, failures);
      },
      onClosed: () => {
        this.#answer(undefined);
        if (client !== undefined && this.#client === client) this.#lost();
      },
    };
    return NetdClient.connect(this.#socketPath, events).then(
      (connected) => {
        client = connected;
        return connected;
      },
      () => undefined,
    );
  }
  /** True when netd answered and has the rows; else the connection is closed again. */
  async #greet(client: NetdClient): Promise<boolean> {
    const { nodeId, publishAddress, versionText, clock, log } = this.#deps;
    const answered = new Promise<NetdHelloAnswer | undefined>((resolve) => {
      this.#answer = resolve;
    });
    const { execPath, args: execArgs } = this.#command;
    const protocol = NETD_PROTOCOL;
    client.hello(
      NetdHello.create({ protocol, versionText, nodeId, publishAddress, execPath, execArgs }),
    );
    const answer = client.closed
      ? undefined
      : await this.#within(2 * this.#times.answerMs, answered);
    if (answer === undefined || !this.#running) {
      if (!client.closed && this.#running) this.#endHung();
      client.close();
      return false;
    }
    const { pid, handingOver } = answer;
    log.info({ pid, version: answer.versionText, handingOver }, 'connected to netd');
    this.#client = client;
    this.#outbox = new NetdOutbox(answer.protocol);
    this.#pulse.follow(client);
    this.#connectedAtMs = clock.monotonicMs();
    this.#inFlight = false;
    this.#sendRows();
    return true;
  }
  get #times(): PulseTimes {
    return this.#deps.pulse ?? PULSE;
  }
  /** It neither answers nor ends: its connections are lost with it, but new ones are served again. */
  #endHung(): void {
    const pid = netdAt(this.#socketPath);
    this.#deps.log.error({ pid }, 'netd does not answer: it is ended and started again');
    if (pid === undefined) this.#process.kill();
    else this.#process.end(pid);
  }
  #lost(): void {
    this.#client = undefined;
    this.#pulse.stop();
    if (!this.#running) return;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#connectedAtMs >= STEADY_MS) {
      this.#backoff.reset();
      this.#restartAtMs = 0;
    }
    this.#need();
  }
  #sendRows(): void {
    if (this.#client === undefined || this.#rows === undefined) return;
    this.#rowsWaiting = this.#inFlight;
    if (this.#inFlight) return;
    const { nodeId, publishAddress } = this.#deps;
    const rows = this.#rows;
    const taskPorts = this.#taskPorts;
    const message = this.#outbox.next({
      rows,
      nodeId,
      publishAddress,
      taskPorts,
      names: this.#names,
    });
    this.#inFlight = message !== undefined;
    if (message !== undefined) this.#client.rows(message);
    else queueMicrotask(() => this.#applied(rows.index, this.#failures));
  }
  #netdApplied(index: number, failures: readonly ListenFailure[]): void {
    this.#inFlight = false;
    this.#failures = failures;
    if (this.#rowsWaiting) this.#sendRows();
    this.#applied(index, failures);
  }
  #applied(index: number, failures: readonly ListenFailure[]): void {
    for (const fn of this.#appliedFns) fn(index, failures);
  }
  async #endNetd(): Promise<void> {
    let closed: () => void = () => undefined;
    const gone = new Promise<boolean>((resolve) => {
      closed = () => resolve(true);
    });
    const events = { onHello: () => undefined, onApplied: () => undefined, onClosed: closed };
    const client = await NetdClient.connect(this.#socketPath, events).catch(() => undefined);
    if (client === undefined) return;
    client.end();
    if ((await this.#within(END_MS, gone)) === undefined)
      this.#deps.log.warn({}, 'netd did not end in time');
    client.close();
  }
  async #within<T>(ms: number, promise: Promise<T> | undefined): Promise<T | undefined> {
    if (promise === undefined) return undefined;
    let give: () => void = () => undefined;
    const late = new Promise<undefined>((resolve) => {
      give = () => resolve(undefined);
    });
    const timer = this.#deps.clock.setTimer(ms, give);
    return Promise.race([promise, late]).finally(() => timer.cancel());
  }
}
