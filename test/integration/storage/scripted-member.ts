import { Database, openLevel, systemDisk } from '../../../manager/database/index.ts';
import {
  EMPTY_CONF_STATE,
  type Entry,
  LOCAL_APPEND,
  type Message,
  MessageType,
  message,
  NO_BYTES,
} from '../../../manager/raft/core/index.ts';
import { createFirstMember } from '../../../manager/raft/storage/bootstrap.ts';
import { LogStore } from '../../../manager/raft/storage/log-store.ts';
import { LogWriter } from '../../../manager/raft/storage/log-writer.ts';
import { clearLeftovers, openLog } from '../../../manager/raft/storage/open-log.ts';
import { rowOp } from '../../../manager/raft/storage/row-record.ts';
import type { RowChange } from '../../../manager/replication.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import type { RecordedDisk } from './recorded-disk.ts';

const MEMBERS = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
const VALUE_BYTES = 40;

/** What the member has said to others, and so must still know after any crash. */
export interface Promised {
  readonly last: number;
  readonly term: number;
  readonly vote: number;
}

/** After its making: the rows of `init` are entry 1. */
const FIRST: Promised = { last: 1, term: 1, vote: 0 };

/**
 * A member without others, driven by a script instead of by the core: the storage of production,
 * asked for everything that it is ever asked for.
 */
export class ScriptedMember {
  readonly #directory: string;
  readonly #recorded: RecordedDisk;
  readonly #random = new SeededRandom(7);
  /** By the number of writes before it: what others were told, or may forget again. */
  readonly #promised = new Map<number, Promised>();
  #said = FIRST;
  #db!: Database;
  #writer!: LogWriter;
  #store!: LogStore;

  constructor(directory: string, recorded: RecordedDisk) {
    this.#directory = directory;
    this.#recorded = recorded;
  }

  static async create(directory: string, recorded: RecordedDisk): Promise<ScriptedMember> {
    const random = new SeededRandom(5);
    const deps = { disk: systemDisk, random, openEngine: openLevel };
    const identity = { clusterId: 'c', epoch: 0, nodeId: 'n', raftId: 1, address: 'a:1' };
    const rows = [rowOf('cluster', 'first', 1, true), rowOf('node', 'first', 1, false)];
    await createFirstMember(directory, identity, rows, deps);
    return new ScriptedMember(directory, recorded);
  }

  /** What others had been told when write point `at` began. */
  promisedAt(at: number): Promised {
    for (let n = at; n >= 0; n--) {
      const promised = this.#promised.get(n);
      if (promised !== undefined) return promised;
    }
    return FIRST;
  }
  get last(): number {
    return this.#store.lastIndex();
  }

  async open(step: string): Promise<void> {
    this.#recorded.step = step;
    const { disk, openEngine } = this.#recorded;
    const clock = new ManualClock();
    this.#db = await Database.open(this.#directory, {
      clock,
      disk,
      random: this.#random,
      log: silentLog,
      openEngine,
      onPoison: (error) => {
        throw error;
      },
    });
    const opened = await openLog(this.#directory, this.#db, disk);
    await clearLeftovers(this.#db, opened);
    await this.#db.passed();
    this.#store = new LogStore(opened, () => 'pending');
    this.#writer = new LogWriter({
      clock,
      db: this.#db,
      votes: opened.votes,
      store: this.#store,
      hardState: opened.hardState,
      afterSends: (work) => process.nextTick(work),
      deliver: (responses) => this.#delivered(responses),
      snapshotTaken: () => undefined,
      generationOf: () => this.#store.applied.generation + 1,
      installed: async () => undefined,
      failed: (error) => {
        throw error;
      },
    });
  }

  async close(): Promise<void> {
    await this.#writer.drain();
    await this.#db.close();
  }

  /** Takes a vote, as one message of the core that brings no entries. */
  async vote(term: number, vote: number): Promise<void> {
    this.#append('vote', { term, vote, commit: this.#store.applied.index, entries: [] });
    await this.#writer.drain();
  }

  /** `count` entries from `from` on, in one batch; what stood there is replaced. */
  async append(step: string, from: number, count: number, bytes = VALUE_BYTES): Promise<void> {
    const { term, vote } = this.#said;
    const entries = Array.from({ length: count }, (_, n): Entry => {
      return { index: from + n, term, type: 0, data: this.#random.bytes(bytes) };
    });
    // Asked to replace them, it owes nobody the entries that stood there.
    this.#said = { ...this.#said, last: Math.min(this.#said.last, from - 1) };
    this.#append(step, { term, vote, commit: this.#store.applied.index, entries });
    await this.#writer.drain();
  }

  /** Rows of the entries up to `index`: they ride in the next batch, or in one of their own. */
  async apply(step: string, index: number, rows: number, flush: boolean): Promise<void> {
    this.#recorded.step = step;
    const changes: RowChange[] = [];
    for (let n = 0; n < rows; n++) changes.push(rowOf('task', `row${n}`, index, n % 4 === 0));
    this.#writer.stage(changes, index, this.#said.term, MEMBERS);
    if (flush) await this.#writer.drain();
  }

  async compact(step: string, index: number): Promise<void> {
    this.#recorded.step = step;
    this.#writer.compact(index);
    await this.#writer.drain();
  }

  /** The rows of another member's state, then the one batch that puts them in force. */
  async install(step: string, index: number, rows: number): Promise<void> {
    this.#recorded.step = step;
    const generation = this.#store.applied.generation + 1;
    for (let n = 0; n < rows; n++) {
      const op = rowOp(generation, rowOf('task', `received${n}`, index, n % 2 === 0));
      await this.#db.write([op], { sync: true });
    }
    const { term, vote } = this.#said;
    const snapshot = { index, term, confState: MEMBERS, data: NO_BYTES };
    const fields = { term, vote, commit: index, snapshot, entries: [] };
    this.#said = { ...this.#said, last: Math.min(this.#said.last, index) };
    this.#append(step, fields);
    await this.#writer.drain();
  }

  #append(step: string, fields: Partial<Message>): void {
    this.#recorded.step = step;
    this.#promise();
    const last = fields.snapshot?.index ?? fields.entries?.at(-1)?.index ?? this.#said.last;
    const { term, vote } = { ...this.#said, ...fields };
    const answer = message({ type: MessageType.StorageAppendResp, to: 1, term, vote, index: last });
    this.#writer.append({
      ...message({ type: MessageType.StorageAppend, to: LOCAL_APPEND, ...fields }),
      responses: [answer],
    });
  }

  #delivered(responses: readonly Message[]): void {
    for (const { term, vote, index } of responses) this.#said = { term, vote, last: index };
    this.#promise();
  }

  /** Holds from the next write on. */
  #promise(): void {
    this.#promised.set(this.#recorded.points.length, this.#said);
  }
}

function rowOf(table: string, id: string, version: number, secret: boolean): RowChange {
  const bytes = Buffer.from(`${table} ${id} as of ${version}`);
  return { table, id, version, bytes, secret };
}
