import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { type Log, silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { type Disk, type Engine, openLevel, systemDisk } from '../database/index.ts';
import type { RowChange, RowSlices, StateMachine } from '../replication.ts';
import type { RaftDriver } from './driver.ts';
import { type OpenedRaft, openRaft } from './open-raft.ts';
import { type JoinRaft, raftHandlers } from './service.ts';
import { createFirstMember, createJoiningMember, FIRST_INDEX } from './storage/bootstrap.ts';
import { TestNetwork } from './transport/network.fixture.ts';

/** A state machine of the tests: an entry is `key=value`, a row the value; of `table/id` if so. */
export class TestMachine implements StateMachine {
  rows = new Map<string, string>();
  readonly appliedIndexes: number[] = [];
  loads = 0;

  apply(index: number, _term: number, entry: Uint8Array): readonly RowChange[] {
    const [key, value] = Buffer.from(entry).toString().split('=') as [string, string];
    this.rows.set(key, value);
    this.appliedIndexes.push(index);
    const [id, table = 'test'] = key.split('/').reverse() as [string, string | undefined];
    return [{ table, id, version: index, bytes: Buffer.from(value), secret: false }];
  }
  applied(): void {}
  stored(table: string, id: string): RowChange | undefined {
    const value = this.rows.get(`${table}/${id}`) ?? this.rows.get(id);
    if (value === undefined) return undefined;
    return { table, id, version: 1, bytes: Buffer.from(value), secret: false };
  }
  async load(_i: number, _t: number, rows: RowSlices): Promise<void> {
    this.loads++;
    const fresh = new Map<string, string>();
    for await (const slice of rows) {
      for (const row of slice) fresh.set(row.id, Buffer.from(row.bytes!).toString());
    }
    this.rows = fresh;
  }
}

export interface TestMember {
  readonly id: number;
  readonly address: string;
  readonly nodeId: string;
  readonly directory: string;
  opened: OpenedRaft;
  driver: RaftDriver;
  machine: TestMachine;
  /** What it logged as an error. */
  readonly errors: { readonly fields: object; readonly message: string }[];
  readonly fatal: SwarmError[];
  wasRemoved: boolean;
}

/** A clock under which the process can stand still: timers are late then, all at once. */
class PausingClock extends ManualClock {
  #pausedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.#pausedMs;
  }
  pause(ms: number): void {
    this.#pausedMs += ms;
  }
}

/** Members over real LevelDBs, on one clock that stands still while any of them writes. */
export class TestCluster {
  readonly clock = new PausingClock();
  readonly network = new TestNetwork();
  readonly members: TestMember[] = [];
  readonly #random = new SeededRandom(7);
  #root = '';
  #busy = 0;
  /** What stands on a member's driver instead of a TestMachine. */
  parts: ((member: TestMember) => { machine: StateMachine; join: JoinRaft }) | undefined;
  /** Rows of the first member instead of a test row. */
  firstRows: readonly RowChange[] = [
    { table: 'test', id: 'first', version: FIRST_INDEX, bytes: Buffer.from('row'), secret: true },
  ];
  /** Set by a test: writes of this member wait for it. */
  readonly holdWrites = new Map<number, Promise<void>>();

  async start(count: number): Promise<void> {
    this.#root = await mkdtemp(path.join(tmpdir(), 'swarm-raft-'));
    const first = this.#plan(1);
    await createFirstMember(
      first.directory,
      { clusterId: 'cluster', epoch: 0, nodeId: first.nodeId, raftId: 1, address: first.address },
      this.firstRows,
      this.#bootstrapDeps(),
    );
    await this.open(first);
    await this.until(() => first.driver.isLeader);
    for (let id = 2; id <= count; id++) await this.join(id);
  }

  /** Learner, caught up, voter: what roles/ does, without its rows. */
  async join(id: number): Promise<TestMember> {
    const member = await this.addLearner(id);
    const leader = this.leader();
    const last = leader.driver.appliedIndex;
    await this.until(() => (leader.driver.progress(id)?.match ?? 0) >= last);
    await this.done(leader.driver.proposeConfChange({ kind: 'add-voter', peer: peerOf(member) }));
    return member;
  }

  /** A new manager's empty state, opened, as its node makes it when it is promoted. */
  async prepare(id: number, of: Partial<TestMember> = {}): Promise<TestMember> {
    const member = Object.assign(this.#plan(id), of);
    const { nodeId, directory } = member;
    await createJoiningMember(
      directory,
      { clusterId: 'cluster', epoch: 0, nodeId, raftId: id },
      [],
      this.#bootstrapDeps(),
    );
    await this.open(member);
    return member;
  }

  async addLearner(id: number): Promise<TestMember> {
    const member = this.#plan(id);
    const leader = this.leader();
    const { nodeId, directory } = member;
    await createJoiningMember(
      directory,
      { clusterId: 'cluster', epoch: 0, nodeId, raftId: id },
      [...leader.driver.directory.all()],
      this.#bootstrapDeps(),
    );
    await this.open(member);
    await this.done(leader.driver.proposeConfChange({ kind: 'add-learner', peer: peerOf(member) }));
    return member;
  }

  /** Opens a member's state and lets it take part, under the same address. */
  async open(member: TestMember): Promise<void> {
    const { address, nodeId, directory, id } = member;
    member.machine = new TestMachine();
    member.opened = await openRaft(
      directory,
      { address },
      {
        clock: this.clock,
        random: this.#random.stream(`member ${id}`),
        log: errorLog(member),
        dial: (to) => this.network.dial(address, nodeId, to),
        probe: async (to) => this.network.probe(to),
        onFatal: (error) => member.fatal.push(error),
        onRemoved: () => {
          member.wasRemoved = true;
        },
        disk: this.#countingDisk(),
        openEngine: async (folder) => this.#counting(id, await openLevel(folder)),
      },
    );
    member.driver = member.opened.driver;
    const { machine, join } = this.parts?.(member) ?? { machine: member.machine, join: refuseJoin };
    this.network.listen(address, raftHandlers(member.driver, join));
    await member.driver.start(machine);
  }

  /** As SIGKILL, as far as one process can: nothing is handed over. */
  async kill(member: TestMember): Promise<void> {
    this.network.kill(member.address);
    await member.opened.close({ handOver: false });
  }

  leader(): TestMember {
    const leaders = this.members.filter((m) => m.driver?.isLeader);
    if (leaders.length === 0) throw new Error('nobody leads');
    return leaders.reduce((a, b) => (a.driver.leaderTerm > b.driver.leaderTerm ? a : b));
  }

  /** Lets time pass until it holds; at most a minute of the cluster's time. */
  async until(holds: () => boolean, limitMs = 60_000): Promise<void> {
    const endMs = this.clock.monotonicMs() + limitMs;
    await this.settle();
    while (!holds()) {
      if (this.clock.monotonicMs() > endMs) throw new Error(`never: ${holds}`);
      this.clock.advance(10);
      await this.settle();
    }
  }
  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 10) {
      this.clock.advance(10);
      await this.settle();
    }
  }
  /** Lets time pass until the promise has ended; its outcome is the caller's. */
  async done<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    promise.then(
      () => (ended = true),
      () => (ended = true),
    );
    await this.until(() => ended);
    return promise;
  }
  async write(key: string, value: string): Promise<number> {
    const { driver } = this.leader();
    const entry = Buffer.from(`${key}=${value}`);
    const result = await this.done(driver.propose(entry, driver.leaderTerm));
    if (result.kind !== 'applied') throw new Error(`not applied: ${JSON.stringify(result)}`);
    return result.index;
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise(setImmediate);
      if (this.#busy > 0) quiet = -1;
    }
  }

  async stop(): Promise<void> {
    for (const member of this.members) await member.opened?.close({ handOver: false });
    await rm(this.#root, { recursive: true, force: true });
  }

  #plan(id: number): TestMember {
    const directory = path.join(this.#root, `raft-${id}`);
    const names = { id, address: `member-${id}:1`, nodeId: `node-${id}`, directory };
    const member = { ...names, errors: [], fatal: [], wasRemoved: false } as unknown as TestMember;
    this.members.push(member);
    return member;
  }

  #bootstrapDeps() {
    return { disk: systemDisk, random: this.#random, openEngine: openLevel };
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      this.#busy--;
    }
  }
  #countingDisk(): Disk {
    const overwrite: Disk['overwrite'] = (file, bytes) =>
      this.#counted(() => systemDisk.overwrite(file, bytes));
    return { ...systemDisk, overwrite };
  }
  #counting(id: number, engine: Engine): Engine {
    return {
      write: async (ops, sync) => {
        await this.holdWrites.get(id);
        return this.#counted(() => engine.write(ops, sync));
      },
      get: (key) => engine.get(key),
      getSync: (key, snapshot) => engine.getSync(key, snapshot),
      iterate: (range, snapshot) => {
        const iterator = engine.iterate(range, snapshot);
        const next = (count: number) => this.#counted(() => iterator.next(count));
        return { next, close: () => iterator.close() };
      },
      snapshot: () => engine.snapshot(),
      close: () => engine.close(),
    };
  }
}

const refuseJoin: JoinRaft = () => Promise.reject(new SwarmError('UNSUPPORTED', 'no roles here'));

export function peerOf(member: TestMember) {
  return { raftId: member.id, nodeId: member.nodeId, address: member.address };
}

function errorLog({ errors }: TestMember): Log {
  const log: Log = {
    ...silentLog,
    error: (fields, message) => void errors.push({ fields, message }),
    child: () => log,
  };
  return log;
}
