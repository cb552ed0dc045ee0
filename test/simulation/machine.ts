import type { Database, DbOp } from '../../manager/database/index.ts';
import { Dispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { Loop } from '../../manager/loop/loop.ts';
import { EMPTY_CONF_STATE } from '../../manager/raft/core/index.ts';
import {
  createFirstMember,
  createJoiningMember,
  type OpenedRaft,
  openRaft,
  type PeerRecord,
  type RaftDriver,
  raftHandlers,
} from '../../manager/raft/index.ts';
import { logRange, META } from '../../manager/raft/keys.ts';
import type { RowChange, StateMachine } from '../../manager/replication.ts';
import { ReplicatedStore } from '../../manager/store/replicated-store.ts';
import type { AppliedEntry } from '../../manager/store/view.ts';
import { SwarmError } from '../../shared/errors.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { Checker, Observed } from './checker.ts';
import type { Counters } from './counters.ts';
import { tokensOf } from './register-rows.ts';
import { checkTasks } from './services.ts';
import { SimDisk } from './sim-disk.ts';
import { addressOf, type Endpoint, type SimNetwork } from './sim-network.ts';
import { SimClock, type Timeline } from './timeline.ts';

export const DIRECTORY = '/state/raft';
const DATABASE = `${DIRECTORY}/db`;

export interface MachineDeps {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly counters: Counters;
  readonly random: Random;
}

/** A machine: its disk outlives its processes. */
export class Machine {
  readonly number: number;
  readonly deps: MachineDeps;
  readonly disk: SimDisk;
  readonly address: string;
  readonly #rate: number;
  raftId = 0;
  process: ManagerProcess | undefined;
  /** Its disk was spoilt on purpose since its raft id was new. */
  isSpoilt = false;
  /** Opening failed as damaged, or it was removed: it needs a new raft id. */
  needsNewId = false;
  isCreating = false;
  pausedUntilMs = 0;
  creepMs = 0;
  #epoch = 0;
  #incarnations = 0;

  constructor(number: number, deps: MachineDeps) {
    this.number = number;
    this.deps = deps;
    this.address = addressOf(number);
    this.disk = new SimDisk(deps.timeline, deps.random.stream(`disk ${number}`), deps.counters);
    this.#rate = 0.9 + deps.random.below(201) / 1_000;
  }
  get nodeId(): string {
    return `node-${this.number}`;
  }
  get isUp(): boolean {
    return this.process !== undefined && !this.process.isDead && this.process.isReady;
  }

  /** A new member's empty state; `first`: the cluster's first, with these rows. */
  async create(
    raftId: number,
    peers: readonly PeerRecord[],
    first?: readonly RowChange[],
  ): Promise<void> {
    const epoch = ++this.#epoch;
    const owner = {
      get isDead() {
        return false;
      },
      pausedUntilMs: 0,
    };
    this.isCreating = true;
    this.disk.wipe();
    this.raftId = raftId;
    this.isSpoilt = false;
    this.needsNewId = false;
    const checker = this.deps.checker;
    const deps = {
      disk: this.disk.as(owner, (_path, bytes) => checker.member(raftId).takeVote(bytes)),
      random: this.deps.random.stream(`create ${this.number} ${epoch}`),
      openEngine: this.disk.openEngine(owner),
    };
    const member = { clusterId: 'cluster', epoch: 0, nodeId: this.nodeId, raftId };
    try {
      if (first) {
        await createFirstMember(DIRECTORY, { ...member, address: this.address }, first, deps);
      } else await createJoiningMember(DIRECTORY, member, peers, deps);
    } finally {
      this.isCreating = false;
    }
  }

  /** Starts the daemon on what the disk has. */
  start(): void {
    if (this.isCreating || (this.process && !this.process.isDead)) return;
    const random = this.deps.random.stream(`process ${this.number} ${++this.#incarnations}`);
    const process = new ManagerProcess(this, random, 0.5 + (this.#rate - 0.5));
    this.process = process;
    process.clock.creepMs = this.creepMs;
    void process.open();
  }

  /** The process ends at once, with what it had not synced. */
  crash(): void {
    const { process } = this;
    if (!process || process.isDead) return;
    process.die();
    this.disk.crash();
    this.process = undefined;
  }

  restartSoon(delayMs: number): void {
    this.deps.timeline.after(delayMs, () => {
      if (this.raftId !== 0 && !this.needsNewId) this.start();
    });
  }
}

/** One life of the manager part of a daemon. */
export class ManagerProcess implements Endpoint, Observed {
  readonly machineOf: Machine;
  readonly clock: SimClock;
  readonly raftId: number;
  readonly name: string;
  readonly #random: Random;
  isDead = false;
  isReady = false;
  confState = EMPTY_CONF_STATE;
  appliedIndex = 0;
  driver!: RaftDriver;
  store!: ReplicatedStore;
  #opened: OpenedRaft | undefined;
  /** Calls of clients that end with the process. */
  readonly callers = new Set<() => void>();
  #handlers: { readonly [name: string]: unknown } | undefined;

  constructor(machine: Machine, random: Random, rate: number) {
    const { timeline } = machine.deps;
    this.machineOf = machine;
    this.raftId = machine.raftId;
    this.name = `machine ${machine.number} (raft id ${machine.raftId})`;
    this.#random = random;
    this.clock = new SimClock(timeline, this, random.below(1_000_000), rate);
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
    return this.#handlers?.[`${name[0]!.toLowerCase()}${name.slice(1)}`];
  }

  async open(): Promise<void> {
    const { network, checker, counters } = this.machineOf.deps;
    const isVote = (path: string, bytes: Uint8Array): void => {
      if (path.includes('/vote.')) checker.member(this.raftId).takeVote(bytes);
    };
    try {
      const opened = await openRaft(
        DIRECTORY,
        { address: this.address },
        {
          clock: this.clock,
          random: this.#random,
          log: silentLog,
          dial: (address) => network.dial(this, address),
          probe: (address) => network.probe(this, address),
          onFatal: (error) => this.#fatal(error),
          onRemoved: () => this.#removed(),
          disk: this.machineOf.disk.as(this, isVote),
          openEngine: this.machineOf.disk.openEngine(this),
          examine: async () => 'sound',
        },
      );
      this.#opened = opened;
      this.driver = opened.driver;
      await this.#follow(opened.database);
      await this.#run();
      counters.count('process started');
    } catch (error) {
      this.#refused(error);
    }
  }

  die(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.machineOf.deps.network.gone(this);
    for (const end of [...this.callers]) end();
  }

  async #run(): Promise<void> {
    const { network, checker } = this.machineOf.deps;
    const { driver } = this;
    this.store = new ReplicatedStore({
      clock: this.clock,
      ids: new SeededIds(this.#random.stream('ids')),
      log: silentLog,
      proposer: driver,
      leaderAddress: () => driver.leader()?.address || undefined,
    });
    driver.onLeadership(this.store);
    const refuse = () => Promise.reject(new SwarmError('UNSUPPORTED', 'no roles here'));
    this.#handlers = { ...raftHandlers(driver, refuse), ...this.#leaderParts() };
    network.listen(this);
    this.confState = driver.confState();
    await driver.start(new WatchedMachine(this, this.store, checker));
    this.confState = driver.confState();
    this.isReady = true;
    // Everything was read and found sound: what was spoilt was nothing that counts.
    this.machineOf.isSpoilt = false;
  }

  /** An orderly end: leadership is handed over, what is staged is written. */
  async stop(): Promise<void> {
    if (!this.isReady || this.isDead) return;
    await this.#opened?.close();
    this.die();
    if (this.machineOf.process === this) this.machineOf.process = undefined;
  }

  /** As `Manager` puts them together: the store hears of leadership first. */
  #leaderParts(): Dispatcher['handlers'] {
    const { driver, store, clock } = this;
    const loop = new Loop({ store, clock, log: silentLog });
    const dispatcher = new Dispatcher({
      store,
      clock,
      log: silentLog,
      random: this.#random.stream('dispatcher'),
      readIndex: () => driver.readIndex(),
      leaderAddress: () => driver.leader()?.address || undefined,
      onDrainAcknowledged: (taskIds) => loop.drainAcknowledged(taskIds),
    });
    driver.onLeadership({
      gained: (term) => dispatcher.start(term),
      lost: () => dispatcher.stop(),
    });
    driver.onLeadership({ gained: (term) => loop.start(term), lost: () => loop.stop() });
    return dispatcher.handlers;
  }

  /** Tells the checker of every durable write, before those who asked for it hear of it. */
  async #follow(database: Database): Promise<void> {
    const { checker } = this.machineOf.deps;
    const ops: DbOp[] = [];
    for (const key of [META.boundary, META.hardState]) {
      ops.push({ key, value: await database.get(key), secret: false });
    }
    for await (const { key, value } of database.iterate(logRange(0))) {
      ops.push({ key, value, secret: true });
    }
    checker.opened(this, ops);
    const write = database.write.bind(database);
    database.write = async (written, options) => {
      await write(written, options);
      if (options.sync) checker.wrote(this, written);
    };
  }

  #fatal(error: SwarmError): void {
    const { counters, checker, timeline } = this.machineOf.deps;
    if (this.isDead) return;
    if (error.code === 'INTERNAL') checker.fail(`${this.name}: ${messageChain(error)}`);
    counters.count(`process ended: ${error.code}`);
    this.die();
    timeline.after(0, () => {
      if (this.machineOf.process !== this) return;
      this.machineOf.disk.crash();
      this.machineOf.process = undefined;
      this.machineOf.restartSoon(200 + this.#random.below(1_000));
    });
  }

  #removed(): void {
    if (this.isDead) return;
    const { counters, checker } = this.machineOf.deps;
    counters.count('process ended: removed');
    if (this.machineOf.raftId === this.raftId) this.machineOf.needsNewId = true;
    if (!checker.removed.has(this.raftId)) checker.fail(`${this.name}: says it was removed`);
    this.die();
    this.machineOf.disk.crash();
    this.machineOf.process = undefined;
  }

  /** The state cannot be used. */
  #refused(error: unknown): void {
    const { counters, checker, timeline } = this.machineOf.deps;
    if (this.isDead) return;
    const code = SwarmError.is(error) ? error.code : isDiskError(error) ? 'EIO' : 'INTERNAL';
    counters.count(`opening refused: ${code}`);
    const machine = this.machineOf;
    if (code === 'INTERNAL') checker.fail(`${this.name}: opening threw ${messageChain(error)}`);
    if (code === 'DAMAGED') {
      if (!machine.isSpoilt) checker.fail(`${this.name}: sound and called ${messageChain(error)}`);
      machine.needsNewId = true;
    }
    this.die();
    timeline.after(0, () => {
      if (machine.process !== this) return;
      machine.disk.crash();
      machine.process = undefined;
      if (!machine.needsNewId) machine.restartSoon(500);
    });
  }
}

/** Between driver and store: the checker sees what goes by. */
class WatchedMachine implements StateMachine {
  readonly #process: ManagerProcess;
  readonly #store: ReplicatedStore;
  readonly #checker: Checker;
  #entry: AppliedEntry | undefined;

  constructor(process: ManagerProcess, store: ReplicatedStore, checker: Checker) {
    this.#process = process;
    this.#store = store;
    this.#checker = checker;
    store.onApplied((entry) => {
      this.#entry = entry;
    });
  }
  apply(index: number, term: number, bytes: Uint8Array): readonly RowChange[] {
    const rows = this.#store.apply(index, term, bytes);
    this.#checker.applied(this.#process, index, term, rows);
    const entry = this.#entry;
    if (entry) {
      this.#checker.stored(this.#process, entry, tokensOf(entry));
      if (this.#checker.committedIndex === index)
        checkTasks(this.#store.view, entry, this.#checker);
    }
    return rows;
  }
  applied(index: number, term: number): void {
    const process = this.#process;
    if (process.appliedIndex < index) {
      this.#checker.applied(process, index, term, undefined);
      const before = process.confState;
      process.confState = process.driver.confState();
      this.#checker.configured(process, before);
    }
    this.#store.applied();
  }
  async load(
    index: number,
    term: number,
    rows: AsyncIterable<readonly RowChange[]>,
  ): Promise<void> {
    const loaded: RowChange[] = [];
    const noting = async function* (): AsyncGenerator<readonly RowChange[], void> {
      for await (const slice of rows) {
        loaded.push(...slice);
        yield slice;
      }
    };
    await this.#store.load(index, term, noting());
    this.#checker.loaded(this.#process, index, loaded);
    if (this.#process.isReady) {
      this.#process.machineOf.deps.counters.count('snapshot installed');
      this.#process.confState = this.#process.driver.confState();
    }
  }
}

export function databasePath(): string {
  return DATABASE;
}

function isDiskError(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'EIO';
}

function messageChain(error: unknown): string {
  let text = '';
  for (let at = error; at instanceof Error; at = at.cause) text += `${at.message}; `;
  return text || String(error);
}
