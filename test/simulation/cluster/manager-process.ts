import { setCertificateRole } from '../../../manager/ca/ca.ts';
import type { Database, DbOp, Disk } from '../../../manager/database/index.ts';
import { Dispatcher } from '../../../manager/dispatcher/dispatcher.ts';
import { type JoiningDeps, joinManagers, MembershipWatch } from '../../../manager/joining.ts';
import { Loop } from '../../../manager/loop/loop.ts';
import { EMPTY_CONF_STATE } from '../../../manager/raft/core/index.ts';
import {
  type OpenedRaft,
  openRaft,
  type RaftDriver,
  raftHandlers,
  wipeMember,
} from '../../../manager/raft/index.ts';
import { logRange, META } from '../../../manager/raft/storage/keys.ts';
import { Roles } from '../../../manager/roles/roles.ts';
import type { ReplicatedStore } from '../../../manager/store/replicated-store.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { SeededIds } from '../../../shared/ids.ts';
import type { Random } from '../../../shared/random.ts';
import type { Observed } from '../check/verdict.ts';
import type { Endpoint } from '../engine/sim-network.ts';
import { SimClock } from '../engine/timeline.ts';
import { watchedLog } from '../engine/watched-log.ts';
import { CLUSTER_ID } from './founding.ts';
import { type Machine, STATE, UNREAD } from './machine.ts';
import { WatchedMachine } from './watched-machine.ts';
import { WatchedStore } from './watched-store.ts';

/** The system starts what ended by itself again, after a moment. */
const RESTART_MS = 200;

/** One life of the manager part of a daemon: put together as `Manager` does. */
export class ManagerProcess implements Endpoint, Observed {
  readonly machineOf: Machine;
  readonly clock: SimClock;
  readonly isNewer: boolean;
  readonly #random: Random;
  /** 0 until it has joined. */
  raftId: number;
  epoch = 0;
  isDead = false;
  isReady = false;
  confState = EMPTY_CONF_STATE;
  appliedIndex = 0;
  driver!: RaftDriver;
  store!: ReplicatedStore;
  /** For reading a consistent state off the disk, as backups do. */
  database!: Database;
  /** Calls of clients that end with the process. */
  readonly callers = new Set<() => void>();
  readonly #log;
  #opened: OpenedRaft | undefined;
  #handlers: { readonly [name: string]: unknown } = {};

  constructor(machine: Machine, random: Random, rate: number) {
    const { timeline, counters, checker } = machine.world;
    this.machineOf = machine;
    this.raftId = machine.raftId;
    this.isNewer = machine.isNewer;
    this.#random = random;
    this.clock = new SimClock(timeline, this, random.below(1_000_000), rate);
    this.#log = watchedLog(
      counters,
      (what) => this.isDead || checker.fail(`${this.name}: ${what}`),
    );
  }
  get committedIndex(): number {
    return this.isReady ? this.driver.status().committed : 0;
  }
  get name(): string {
    return `machine ${this.machine} (raft id ${this.raftId})`;
  }
  get machine(): number {
    return this.machineOf.number;
  }
  get address(): string {
    return this.machineOf.address;
  }
  get nodeId(): string {
    return this.machineOf.nodeId;
  }
  get pausedUntilMs(): number {
    return this.machineOf.pausedUntilMs;
  }
  handler(path: string): unknown {
    const name = path.slice(path.lastIndexOf('/') + 1);
    return this.#handlers[`${name[0]!.toLowerCase()}${name.slice(1)}`];
  }

  /** Starts from the state on disk; where there is none, or a damaged one, joins as a new member. */
  async run(): Promise<void> {
    this.machineOf.world.network.listen(this);
    try {
      if (!(await this.#hasState())) await this.#join();
      await this.#open();
      await this.#takePart();
      this.machineOf.world.counters.count('process started');
    } catch (error) {
      await this.#refused(error);
    }
  }

  /** An orderly end: leadership is handed over, what is staged is written. */
  async stop(): Promise<void> {
    if (!this.isReady || this.isDead) return;
    await this.#opened?.close();
    this.die();
    if (this.machineOf.process === this) this.machineOf.process = undefined;
  }

  die(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.machineOf.world.network.gone(this);
    for (const end of [...this.callers]) end();
  }

  /** One that was opened once never vanishes by itself. */
  async #hasState(): Promise<boolean> {
    const isThere = await this.#disk().exists(STATE);
    if (this.raftId > 0 && !isThere)
      this.machineOf.world.checker.fail(`${this.name}: its state is gone`);
    return this.raftId !== 0 && isThere;
  }

  async #join(): Promise<void> {
    const { machineOf } = this;
    const { counters } = machineOf.world;
    const disk = this.#disk();
    machineOf.raftId = 0;
    // Leftovers of a state that is given up.
    await wipeMember(STATE, disk);
    machineOf.isSpoilt = false;
    const state = {
      // From then on there is a state: who dies before it is opened goes on from it.
      disk: { ...disk, rename: (from: string, to: string) => this.#made(disk.rename(from, to)) },
      random: this.#random.stream('state'),
      openEngine: machineOf.disk.openEngine(this),
    };
    const failed = (): void => counters.count('join refused');
    await joinManagers(STATE, '', this.#joining(), state, failed, new AbortController().signal);
    counters.count('machine joined');
  }
  #made(renamed: Promise<void>): Promise<void> {
    return renamed.then(() => {
      this.machineOf.raftId = UNREAD;
    });
  }

  /** Tells the checker of every vote that becomes durable. */
  #disk(): Disk {
    const { checker } = this.machineOf.world;
    return this.machineOf.disk.as(this, (path, bytes) => {
      if (path.startsWith(`${STATE}/vote.`)) checker.voteWritten(this.raftId, bytes);
    });
  }

  #joining(): JoiningDeps {
    const { network } = this.machineOf.world;
    return {
      clock: this.clock,
      random: this.#random.stream('join'),
      log: this.#log,
      nodeId: this.nodeId,
      clusterId: CLUSTER_ID,
      address: this.address,
      managers: () => this.machineOf.peers(),
      dial: (address) => network.dial(this, address),
    };
  }

  async #open(): Promise<void> {
    const { network } = this.machineOf.world;
    const opened = await openRaft(
      STATE,
      { address: this.address },
      {
        clock: this.clock,
        random: this.#random,
        log: this.#log,
        dial: (address) => network.dial(this, address),
        probe: (address) => network.probe(this, address),
        onFatal: (error) => this.#fatal(error),
        onRemoved: () => this.#removed(),
        disk: this.#disk(),
        openEngine: this.machineOf.disk.openEngine(this),
        examine: async () => 'sound',
      },
    );
    this.#opened = opened;
    this.driver = opened.driver;
    this.database = opened.database;
    // Made where it joined, or by an operator.
    this.raftId = opened.driver.identity.raftId;
    this.epoch = opened.driver.identity.epoch;
    this.machineOf.raftId = this.raftId;
    this.machineOf.epoch = this.epoch;
    await this.#follow(opened.database);
  }

  async #takePart(): Promise<void> {
    const { checker } = this.machineOf.world;
    const { driver } = this;
    this.store = new WatchedStore(this, checker.writers, {
      clock: this.clock,
      ids: new SeededIds(this.#random.stream('ids')),
      log: this.#log,
      proposer: driver,
      leaderAddress: () => driver.leader()?.address || undefined,
    });
    this.#makeParts();
    this.confState = driver.confState();
    await driver.start(new WatchedMachine(this, this.store, checker));
    this.confState = driver.confState();
    this.isReady = true;
    // Everything was read and found sound: what was spoilt was nothing that counts.
    this.machineOf.isSpoilt = false;
  }

  /** As `Manager` puts them together: the store hears of leadership first. */
  #makeParts(): void {
    const { driver, store, clock } = this;
    const { network } = this.machineOf.world;
    const log = this.#log;
    const loop = new Loop({ store, clock, log });
    const dispatcher = new Dispatcher({
      store,
      clock,
      log,
      random: this.#random.stream('dispatcher'),
      readIndex: () => driver.readIndex(),
      leaderAddress: () => driver.leader()?.address || undefined,
      onDrainAcknowledged: (taskIds) => loop.drainAcknowledged(taskIds),
    });
    const roles = new Roles({
      store,
      raft: driver,
      clock,
      log,
      probe: (address) => network.probe(this, address),
      setCertificateRole: (nodeId, role) => setCertificateRole(store, nodeId, role),
    });
    const raft = raftHandlers(driver, (request, context) => roles.join(request, context));
    this.#handlers = { ...raft, ...dispatcher.handlers };
    driver.onLeadership(store);
    driver.onLeadership({
      gained: (term) => dispatcher.start(term),
      lost: () => dispatcher.stop(),
    });
    driver.onLeadership({ gained: (term) => loop.start(term), lost: () => loop.stop() });
    driver.onLeadership(roles);
    // Here nobody moves.
    const member = {
      identity: driver.identity,
      get hasLeader(): boolean {
        return driver.hasLeader;
      },
      find: () => Promise.resolve(),
    };
    new MembershipWatch(member, this.#joining(), () => this.#removed());
  }

  /** Tells the checker of every durable write, before those who asked for it hear of it. */
  async #follow(database: Database): Promise<void> {
    const { checker } = this.machineOf.world;
    const ops: DbOp[] = [];
    for (const key of [META.boundary, META.hardState]) {
      ops.push({ key, value: await database.get(key), secret: false });
    }
    for await (const { key, value } of database.iterate(logRange(0))) {
      ops.push({ key, value, secret: true });
    }
    checker.opened(this, ops, this.machineOf.disk.read([`${STATE}/vote.a`, `${STATE}/vote.b`]));
    const write = database.write.bind(database);
    database.write = async (written, options) => {
      await write(written, options);
      if (options.sync) checker.wrote(this, written);
    };
  }

  #fatal(error: SwarmError): void {
    const { counters, checker } = this.machineOf.world;
    if (this.isDead) return;
    if (error.code === 'INTERNAL') checker.fail(`${this.name}: ${messageChain(error)}`);
    counters.count(`process ended: ${error.code}`);
    this.#endSoon(RESTART_MS + this.#random.below(1_000));
  }

  /** The daemon of a node that is no manager any more deletes the state, and waits to be one again. */
  #removed(): void {
    if (this.isDead) return;
    const { counters, checker } = this.machineOf.world;
    counters.count('process ended: removed');
    if (checker.history.isMember(this.raftId)) checker.fail(`${this.name}: says it was removed`);
    this.machineOf.raftId = 0;
    this.#endSoon(RESTART_MS);
  }

  /** The state cannot be used. */
  async #refused(error: unknown): Promise<void> {
    const { counters, checker } = this.machineOf.world;
    if (this.isDead) return;
    const machine = this.machineOf;
    const code = SwarmError.is(error) ? error.code : isDiskError(error) ? 'EIO' : 'INTERNAL';
    counters.count(`opening refused: ${code}`);
    if (code === 'INTERNAL') checker.fail(`${this.name}: opening threw ${messageChain(error)}`);
    if (code === 'DAMAGED') {
      if (!machine.isSpoilt) checker.fail(`${this.name}: sound and called ${messageChain(error)}`);
      machine.isHealing = true;
      checker.damaged(this.raftId);
      machine.raftId = 0;
    }
    this.#endSoon(500);
  }

  /** After what runs now: nothing of a dead process goes on. */
  #endSoon(restartMs: number): void {
    const machine = this.machineOf;
    this.die();
    machine.world.timeline.after(0, () => {
      if (machine.process !== this) return;
      machine.disk.crash();
      machine.process = undefined;
      machine.restartSoon(restartMs);
    });
  }
}

function isDiskError(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'EIO';
}

function messageChain(error: unknown): string {
  let text = '';
  for (let at = error; at instanceof Error; at = at.cause) text += `${at.message}; `;
  return text || String(error);
}
