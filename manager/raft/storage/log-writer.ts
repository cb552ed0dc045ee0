import type { Clock } from '../../../shared/clock.ts';
import type { Database, DbOp } from '../../database/index.ts';
import type { RowChange } from '../../replication.ts';
import {
  type ConfState,
  entriesSize,
  type HardState,
  type Message,
  type Snapshot,
} from '../core/index.ts';
import { META } from './keys.ts';
import type { LogStore } from './log-store.ts';
import { type Applied, encodeHard, encodeJson, type PeerRecords } from './meta.ts';
import { rowOp } from './row-record.ts';
import type { VoteFile } from './vote-file.ts';

/** More waiting appends than this go into the next batch. */
const BATCH_BYTES = 4 << 20;
const COMPACTION_SLICE = 2_000;

export interface LogWriterDeps {
  readonly clock: Clock;
  readonly db: Database;
  readonly votes: VoteFile;
  readonly store: LogStore;
  readonly hardState: HardState;
  /** Runs the work when messages that others wait for are on their way. */
  readonly afterSends: (work: () => void) => void;
  /** The answers attached to an append, in order, after it is durable. */
  readonly deliver: (responses: readonly Message[]) => void;
  /** A snapshot was handed over to be installed. */
  readonly snapshotTaken: () => void;
  /** Rows of this generation are a snapshot's: they are to be loaded before anything else. */
  readonly generationOf: (snapshot: Snapshot) => number;
  readonly installed: (snapshot: Snapshot) => Promise<void>;
  readonly failed: (error: unknown) => void;
}

/**
 * Group commit: one synced batch is outstanding, the next one fills meanwhile. Each batch has new
 * log entries, the whole hard state, and the rows of entries that were applied since the last one,
 * so the state of what is committed costs no write of its own.
 */
export class LogWriter {
  readonly #deps: LogWriterDeps;
  readonly #queue: Message[] = [];
  readonly #compactions: DbOp[][] = [];
  #staged = new Map<string, DbOp>();
  #stagedApplied: Applied | undefined;
  #stagedPeers: PeerRecords | undefined;
  #flushWanted = false;
  #wroteSinceTick = false;
  #hard: HardState;
  #durableLast: number;
  #running: Promise<void> | undefined;
  #turnSinceMs: number | undefined;
  #broken = false;

  constructor(deps: LogWriterDeps) {
    this.#deps = deps;
    this.#hard = deps.hardState;
    this.#durableLast = deps.store.lastIndex();
  }

  /** How long the write at hand has been outstanding, in milliseconds. */
  outstandingMs(): number {
    if (this.#turnSinceMs === undefined) return 0;
    return this.#deps.clock.monotonicMs() - this.#turnSinceMs;
  }

  /** Takes a StorageAppend message of the core. */
  append(message: Message): void {
    this.#queue.push(message);
    if (message.snapshot) this.#deps.snapshotTaken();
    this.#kick();
  }

  /** Rows of an applied entry: they ride in the next batch, or in one of their own at `flush`. */
  stage(changes: readonly RowChange[], index: number, term: number, confState: ConfState): void {
    const { generation } = this.#deps.store.applied;
    for (const change of changes) {
      this.#staged.set(`${change.table}/${change.id}`, rowOp(generation, change));
    }
    this.#stagedApplied = { index, term, generation, confState };
  }
  /** A row as it is, for the disk has lost it; one that waits to be written anyway is newer. */
  restage(change: RowChange): void {
    const name = `${change.table}/${change.id}`;
    if (this.#staged.has(name)) return;
    this.#staged.set(name, rowOp(this.#deps.store.applied.generation, change));
    this.flush();
  }
  stagePeers(peers: PeerRecords): void {
    this.#stagedPeers = peers;
  }
  /** Writes what is staged although no entry needs a batch. */
  flush(): void {
    if (this.#staged.size === 0 && !this.#stagedApplied && !this.#stagedPeers) return;
    this.#flushWanted = true;
    this.#kick();
  }

  /** The same for a tick of time, unless batches are being written anyway: rows ride in those. */
  flushWhenIdle(): void {
    if (this.#wroteSinceTick) this.#wroteSinceTick = false;
    else this.flush();
  }

  /** Drops log entries up to `index` in the coming batches. */
  compact(index: number): void {
    const target = Math.min(index, this.#deps.store.applied.index);
    this.#compactions.push(...this.#deps.store.compact(target, COMPACTION_SLICE));
    this.#kick();
  }
  get isCompacting(): boolean {
    return this.#compactions.length > 0;
  }

  /** Writes everything there is; resolves when nothing is outstanding. */
  async drain(): Promise<void> {
    this.flush();
    while (this.#running) await this.#running;
  }

  #kick(): void {
    if (this.#running || this.#broken) return;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // What is asked for in the same turn of the event loop belongs into one batch, and others can
    // write their own while we prepare ours: messages to them, asked for before, go out first.
    await new Promise<void>((resolve) => this.#deps.afterSends(resolve));
    try {
      while (this.#queue.length > 0 || this.#flushWanted || this.#compactions.length > 0) {
        await this.#turn(this.#take());
      }
    } catch (error) {
      this.#broken = true;
      this.#deps.failed(error);
    } finally {
      this.#running = undefined;
      this.#turnSinceMs = undefined;
    }
  }

  /** A snapshot goes alone: what follows it is appended behind it. */
  #take(): Message[] {
    const batch: Message[] = [];
    let bytes = 0;
    while (this.#queue.length > 0 && bytes < BATCH_BYTES) {
      const next = this.#queue[0]!;
      if (next.snapshot && batch.length > 0) break;
      batch.push(this.#queue.shift()!);
      if (next.snapshot) break;
      bytes += entriesSize(next.entries);
    }
    return batch;
  }

  async #turn(batch: readonly Message[]): Promise<void> {
    const before = this.#hard;
    for (const { term, vote, commit } of batch) {
      if (term !== 0) this.#hard = { term, vote, commit };
    }
    const voted = this.#hard.term !== before.term || this.#hard.vote !== before.vote;
    const appends = batch.some((m) => m.entries.length > 0 || m.snapshot);
    if (voted || appends || this.#flushWanted || this.#compactions.length > 0) {
      this.#turnSinceMs = this.#deps.clock.monotonicMs();
      await this.#write(batch, voted);
    }
    for (const message of batch) this.#deps.deliver(message.responses);
  }

  async #write(batch: readonly Message[], voted: boolean): Promise<void> {
    const { store, db, votes } = this.#deps;
    const snapshot = batch[0]?.snapshot ?? undefined;
    const keep = lowestKept(batch, store.lastIndex());
    const ops = snapshot ? this.#install(snapshot) : [];
    for (const { entries } of batch) if (entries.length > 0) ops.push(...store.append(entries));
    const applied = snapshot ? undefined : this.#takeStaged(ops);
    ops.push(...(this.#compactions.shift() ?? []));
    const durableIndex = Math.min(this.#durableLast, keep);
    // Also before the log is cut: else a crash after the cut would look like lost entries.
    if (voted || durableIndex < votes.newest.durableIndex) {
      await votes.write({ term: this.#hard.term, vote: this.#hard.vote, durableIndex });
    }
    ops.push(this.#hardOp());
    await db.write(ops, { sync: true });
    this.#wroteSinceTick = true;
    this.#durableLast = store.lastIndex();
    if (applied) store.appliedDurable(applied);
    this.#turnSinceMs = undefined;
    if (snapshot) await this.#deps.installed(snapshot);
  }

  #install(snapshot: Snapshot): DbOp[] {
    const { index, term, confState } = snapshot;
    const generation = this.#deps.generationOf(snapshot);
    const applied: Applied = { index, term, generation, confState };
    // Rows of the old generation, and deletions of a log that is replaced, mean nothing any more.
    this.#staged.clear();
    this.#stagedApplied = undefined;
    this.#compactions.length = 0;
    const ops = this.#deps.store.install(applied);
    this.#deps.store.appliedDurable(applied);
    return ops;
  }

  #takeStaged(ops: DbOp[]): Applied | undefined {
    this.#flushWanted = false;
    for (const op of this.#staged.values()) ops.push(op);
    this.#staged = new Map();
    if (this.#stagedPeers) {
      ops.push({ key: META.peers, value: encodeJson(this.#stagedPeers), secret: false });
      this.#stagedPeers = undefined;
    }
    const applied = this.#stagedApplied;
    this.#stagedApplied = undefined;
    if (applied) ops.push(...this.#deps.store.advanceApplied(applied));
    return applied;
  }

  #hardOp(): DbOp {
    const { store, votes } = this.#deps;
    const record = {
      ...this.#hard,
      lastIndex: store.lastIndex(),
      voteSequence: votes.newest.sequence,
    };
    return { key: META.hardState, value: encodeHard(record), secret: false };
  }
}

/** How much of the log up to `last` no message of the batch replaces. */
function lowestKept(batch: readonly Message[], last: number): number {
  let keep = last;
  for (const { entries, snapshot } of batch) {
    if (snapshot) keep = Math.min(keep, snapshot.index);
    const first = entries[0]?.index;
    if (first !== undefined && first <= keep) keep = first - 1;
  }
  return keep;
}
