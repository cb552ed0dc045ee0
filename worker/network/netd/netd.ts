import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ListenFailure,
  NetdDown,
  type NetdHello,
  NetdHello as NetdHellos,
  NetdRows,
  type NetdUp,
} from '../../../proto/index.ts';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import { Names } from '../names/names.ts';
import { ConnectionCounts, countEstablished, localPortsOf } from './connection-counts.ts';
import { type ControlPeer, ControlSocket } from './control-socket.ts';
import {
  type HandedListener,
  type HandoverChannel,
  receiveListeners,
  startSuccessor,
} from './handover.ts';
import type { OwnerLookup } from './listen-failure.ts';
import { ListenerSet } from './listener-set.ts';
import { portOwner } from './port-owner.ts';
import { ROWS_FILE, RowsFile } from './rows-file.ts';
import { UdpListener } from './udp-listener.ts';
import { givesWay, NETD_PROTOCOL } from './version.ts';
import { publishesAnything, wishOf } from './wish.ts';

export interface NetdOptions {
  readonly stateDir: string;
  /** Where swarmd connects; default `netd.sock` in the state directory. */
  readonly socketPath?: string | undefined;
  readonly versionText: string;
  readonly pid: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** `process`, where this netd was started by an older one; without a `send` it is not looked at. */
  readonly channel?: HandoverChannel | undefined;
  /** Default: looked up in /proc. */
  readonly owner?: OwnerLookup | undefined;
  /** Starts this program as the helper that opens sockets in another network. */
  readonly helper: { readonly execPath: string; readonly args: readonly string[] };
}

const CHECK_MS = 1_000;

/**
 * Runs the proxies and the resolver of a node. Resolves when there is nothing left to do: after `end`, when the state
 * directory is gone, or when a newer netd has taken over and the last connection has ended.
 */
export async function runNetd(options: NetdOptions): Promise<void> {
  const netd = new Netd(options);
  await netd.start();
  await netd.ended;
}

class Netd {
  readonly ended: Promise<void>;
  readonly #options: NetdOptions;
  readonly #counts = new ConnectionCounts();
  readonly #listeners: ListenerSet;
  readonly #names: Names;
  readonly #control: ControlSocket;
  readonly #file: RowsFile;
  readonly #stateDirInode: number;
  #end: () => void = () => undefined;
  #hello: NetdHello = NetdHellos.create();
  #rows: NetdRows | undefined;
  /** Came while a successor was being started: for it, or for us if it fails. */
  #heldRows: NetdRows | undefined;
  #role: 'serving' | 'handing over' | 'leaving' | 'ended' = 'serving';
  #answerOwed = false;
  #lastFailures = '';
  /** The version this netd was started as; asked for again, it is not handed over a second time. */
  #startedAs = '';
  #check: Timer | undefined;

  constructor(options: NetdOptions) {
    const { stateDir, clock, random, log } = options;
    this.#options = options;
    this.#stateDirInode = statSync(stateDir).ino;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#listeners = new ListenerSet({
      clock,
      random,
      log,
      counts: this.#counts,
      owner: options.owner ?? portOwner,
      onSettled: (failures) => this.#settled(failures),
      onIdle: () => this.#endWhenIdle(),
    });
    this.#names = new Names({ clock, random, log, helper: options.helper });
    const path = options.socketPath ?? join(stateDir, 'netd.sock');
    this.#control = new ControlSocket(path, log, (message, from) => this.#receive(message, from));
    this.#file = new RowsFile(join(stateDir, ROWS_FILE), log);
  }

  async start(): Promise<void> {
    const { channel, pid, log, versionText } = this.#options;
    if (channel?.send !== undefined)
      this.#startedAs = await receiveListeners(channel, (key, handle, affinity) => {
        if (!this.#names.adopt(key, handle)) this.#listeners.adopt(key, handle, affinity);
      });
    const saved = await this.#file.read();
    if (saved !== undefined) {
      this.#hello = saved.hello;
      this.#rows = saved.rows;
      this.#apply();
    }
    this.#listeners.dropUnusedAdopted();
    await this.#control.open(pid);
    if (channel?.send !== undefined && channel.connected) channel.send({ kind: 'ready' });
    this.#watch();
    log.info({ pid, version: versionText }, 'netd is up');
  }

  #receive(message: NetdUp, from: ControlPeer): void {
    if (message.hello) this.#greet(message.hello, from);
    else if (message.rows) this.#take(message.rows);
    else if (message.connections) void this.#answerConnections(message.connections.taskId, from);
    else if (message.end) void this.#finish('the node left its cluster', true);
  }
  #greet(hello: NetdHello, from: ControlPeer): void {
    const { versionText, pid } = this.#options;
    const running = { protocol: NETD_PROTOCOL, versionText };
    const handingOver =
      this.#role === 'serving' &&
      hello.execPath !== '' &&
      hello.versionText !== this.#startedAs &&
      givesWay(running, hello);
    this.#hello = hello;
    const index = this.#rows?.index ?? 0;
    from.send(NetdDown.create({ hello: { ...running, pid, index, handingOver } }));
    if (handingOver) void this.#handOver(hello);
  }
  #take(rows: NetdRows): void {
    if (this.#role === 'handing over') this.#heldRows = rows;
    if (this.#role !== 'serving') return;
    if (rows.names) this.#names.take(rows.names);
    this.#answerOwed = true;
    if (rows.restKept && this.#rows !== undefined) {
      this.#rows = NetdRows.with(this.#rows, { index: rows.index });
      this.#listeners.settle();
      return;
    }
    this.#rows = NetdRows.with(rows, { names: null });
    this.#keep(this.#rows);
    this.#apply();
  }
  #keep(rows: NetdRows): void {
    // Without a port to publish nobody has to start netd again before its next rows come.
    if (publishesAnything(rows)) this.#file.save({ hello: this.#hello, rows });
    else this.#file.clear();
  }
  #apply(): void {
    if (this.#rows) this.#listeners.apply(wishOf(this.#rows, this.#hello.publishAddress));
  }
  #settled(failures: readonly ListenFailure[]): void {
    const text = JSON.stringify(failures);
    if (this.#rows === undefined || (!this.#answerOwed && text === this.#lastFailures)) return;
    this.#answerOwed = false;
    this.#lastFailures = text;
    this.#control.broadcast(NetdDown.create({ applied: { index: this.#rows.index, failures } }));
  }
  async #answerConnections(taskId: string, from: ControlPeer): Promise<void> {
    const ports = this.#rows
      ? localPortsOf(this.#rows, this.#rows.nodeId, taskId)
      : new Set<number>();
    const open = Math.max(this.#counts.of(taskId), await countEstablished(ports));
    from.send(NetdDown.create({ connections: { taskId, open } }));
  }

  async #handOver(hello: NetdHello): Promise<void> {
    const { clock, log } = this.#options;
    this.#role = 'handing over';
    try {
      await this.#file.settled();
      await startSuccessor({
        execPath: hello.execPath,
        execArgs: hello.execArgs,
        versionText: hello.versionText,
        clock,
        listeners: this.#handed(),
      });
      log.info({ version: hello.versionText }, 'a newer netd has taken over');
      this.#leave();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the newer netd did not start: this one goes on');
      this.#role = 'serving';
      if (this.#heldRows) this.#take(this.#heldRows);
      this.#heldRows = undefined;
    }
  }
  #handed(): readonly HandedListener[] {
    const ports = this.#listeners.listening().map(({ key, listener }) => ({
      key,
      handle: listener.handle,
      affinity: listener instanceof UdpListener ? listener.affinity() : [],
    }));
    return [...ports, ...this.#names.handed().map((each) => ({ ...each, affinity: [] }))];
  }
  /** Another netd has the name and the ports: only what is open goes on here. */
  #leave(): void {
    if (this.#role === 'ended') return;
    this.#role = 'leaving';
    this.#listeners.close();
    this.#names.close();
    this.#control.close();
    this.#endWhenIdle();
  }
  #endWhenIdle(): void {
    if (this.#role === 'leaving' && this.#listeners.open() === 0)
      void this.#finish('the last connection has ended', false);
  }
  #watch(): void {
    this.#check = this.#options.clock.setTimer(CHECK_MS, () => {
      if (this.#role === 'ended') return;
      if (!this.#stateDirIsThere()) return void this.#finish('the state directory is gone', false);
      if (this.#role === 'serving' && this.#control.nameHolder() === 'another') {
        this.#options.log.warn({}, 'another netd serves this state directory: this one ends');
        this.#leave();
      }
      this.#watch();
    });
  }
  #stateDirIsThere(): boolean {
    try {
      return statSync(this.#options.stateDir).ino === this.#stateDirInode;
    } catch {
      return false;
    }
  }
  async #finish(reason: string, forget: boolean): Promise<void> {
    if (this.#role === 'ended') return;
    this.#role = 'ended';
    this.#check?.cancel();
    this.#options.log.info({ reason }, 'netd ends');
    this.#listeners.destroy();
    this.#names.close();
    this.#control.removeName();
    if (forget) this.#file.clear();
    await this.#file.settled();
    this.#control.close();
    this.#end();
  }
}
