import { assert } from '../../../shared/assert.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { DbOp } from '../../database/index.ts';
import type { Storage, StorageError } from '../core/index.ts';
import { type Entry, entrySize, type HardState, NO_BYTES, type Snapshot } from '../core/index.ts';
import { ColdEntries, type ColdEntriesDeps } from './cold-entries.ts';
import { logKey, META, markerKey } from './keys.ts';
import { chainOf, encodeRecord } from './log-record.ts';
import { type Applied, type Boundary, encodeJson, encodeMarker } from './meta.ts';

/** What `openLog` found on disk. */
export interface LogContent {
  readonly hardState: HardState;
  readonly boundary: Boundary;
  readonly applied: Applied;
  /** Contiguous from boundary.index + 1. */
  readonly entries: readonly Entry[];
  readonly chains: readonly number[];
  /** Indexes of the markers of applied state above the boundary, ascending. */
  readonly markers: readonly number[];
}

/**
 * The durable log as the core reads it: terms of the whole uncompacted tail, and its newest entries,
 * in memory; older ones, which only a member far behind needs, are read again. Changes come in two
 * halves: a method here changes the memory and returns the operations, `LogWriter` writes them.
 * Reading ahead of the disk is safe: what is not durable yet the core reads from its own unstable
 * part, and for all below that the two agree.
 *
 * Invariants: entries[i].index === boundary.index + 1 + i; chains and sizes beside entries; the
 * boundary is never above what is applied on disk; entries up to `cold` have no data here, are
 * applied on disk, and none above `cold` is without.
 */
export class LogStore implements Storage {
  readonly #initial: { hardState: HardState; confState: Applied['confState'] };
  readonly #snapshot: () => Snapshot | 'pending';
  #boundary: Boundary;
  readonly #archive: ColdEntries | undefined;
  #entries: Entry[];
  #sizes: number[];
  #chains: number[];
  #markers: number[];
  #bytes = 0;
  #hotBytes = 0;
  #cold: number;
  #applied: Applied;

  /** `archive`: where entries are that are not kept in memory; without it all are. */
  constructor(
    content: LogContent,
    snapshot: () => Snapshot | 'pending',
    archive?: ColdEntriesDeps,
  ) {
    this.#initial = { hardState: content.hardState, confState: content.applied.confState };
    this.#snapshot = snapshot;
    this.#boundary = content.boundary;
    this.#entries = [...content.entries];
    this.#chains = [...content.chains];
    this.#markers = [...content.markers];
    this.#applied = content.applied;
    this.#sizes = this.#entries.map(entrySize);
    for (const size of this.#sizes) this.#bytes += size;
    this.#hotBytes = this.#bytes;
    this.#cold = content.boundary.index;
    this.#archive = archive && new ColdEntries(archive);
    this.#cool();
  }

  // -- what the core reads

  initialState(): { hardState: HardState; confState: Applied['confState'] } {
    return this.#initial;
  }
  entries(lo: number, hi: number, sizeBytesMax: number): readonly Entry[] | StorageError {
    if (lo <= this.#boundary.index) return 'compacted';
    assert(hi <= this.lastIndex() + 1, `entries up to ${hi} asked, last is ${this.lastIndex()}`);
    if (lo <= this.#cold) return this.#archive!.get(lo, Math.min(hi, this.#cold + 1), sizeBytesMax);
    const first = lo - this.#boundary.index - 1;
    let end = first;
    let size = 0;
    while (end < hi - this.#boundary.index - 1) {
      size += this.#sizes[end]!;
      if (size > sizeBytesMax && end > first) break;
      end++;
    }
    return this.#entries.slice(first, end);
  }
  term(index: number): number | StorageError {
    if (index < this.#boundary.index) return 'compacted';
    if (index === this.#boundary.index) return this.#boundary.term;
    return this.#entries[index - this.#boundary.index - 1]?.term ?? 'unavailable';
  }
  firstIndex(): number {
    return this.#boundary.index + 1;
  }
  lastIndex(): number {
    return this.#boundary.index + this.#entries.length;
  }
  snapshot(): Snapshot | 'pending' {
    return this.#snapshot();
  }

  // -- what the driver asks

  get boundary(): Boundary {
    return this.#boundary;
  }
  /** Up to where the rows on disk are. */
  get applied(): Applied {
    return this.#applied;
  }
  /** Bytes of the entries that are not compacted, with their headers. */
  get bytes(): number {
    return this.#bytes;
  }
  /** The part of it that is in memory. */
  get hotBytes(): number {
    return this.#hotBytes;
  }

  // -- changes

  /** Appends, replacing whatever stands at and above the first index. */
  append(entries: readonly Entry[]): DbOp[] {
    const ops: DbOp[] = [];
    const from = entries[0]!.index;
    const end = from + entries.length;
    assert(from > this.#boundary.index, `an append at ${from}, the log begins above that`);
    assert(from <= this.lastIndex() + 1, `a gap before ${from}, last is ${this.lastIndex()}`);
    for (let index = end; index <= this.lastIndex(); index++) ops.push(deletion(logKey(index)));
    this.#truncate(from);
    let chain = this.#chains.at(-1) ?? this.#boundary.chain;
    for (const entry of entries) {
      chain = chainOf(chain, entry);
      this.#entries.push(entry);
      this.#chains.push(chain);
      const size = entrySize(entry);
      this.#sizes.push(size);
      this.#bytes += size;
      this.#hotBytes += size;
      ops.push({ key: logKey(entry.index), value: encodeRecord(entry, chain), secret: true });
    }
    return ops;
  }

  /** The rows on disk will stand for `applied` when the returned operations are written. */
  advanceApplied(applied: Applied): DbOp[] {
    const previous = this.#markers.at(-1) ?? this.#boundary.index;
    this.#markers.push(applied.index);
    return [
      { key: META.applied, value: encodeJson(applied), secret: false },
      { key: markerKey(applied.index), value: encodeMarker(previous), secret: false },
    ];
  }
  /** They are written. */
  appliedDurable(applied: Applied): void {
    this.#applied = applied;
    this.#cool();
  }

  /**
   * Drops entries up to and including `index`. The first of the returned groups has the boundary
   * and must be written first; entries it covers are ignored from then on.
   */
  compact(index: number, sliceMax: number): DbOp[][] {
    assert(index <= this.#applied.index, `compaction to ${index} is above what is on disk`);
    const count = index - this.#boundary.index;
    if (count <= 0) return [];
    const keys: Uint8Array[] = [];
    for (let i = this.#boundary.index + 1; i <= index; i++) keys.push(logKey(i));
    while (this.#markers.length > 0 && this.#markers[0]! <= index) {
      keys.push(markerKey(this.#markers.shift()!));
    }
    const head = this.#entries[count - 1]!;
    for (const [at, size] of this.#sizes.splice(0, count).entries()) {
      this.#bytes -= size;
      if (this.#boundary.index + 1 + at > this.#cold) this.#hotBytes -= size;
    }
    this.#boundary = { index, term: head.term, chain: this.#chains[count - 1]! };
    this.#cold = Math.max(this.#cold, index);
    this.#archive?.compacted(index);
    this.#entries.splice(0, count);
    this.#chains.splice(0, count);
    const groups: DbOp[][] = [[this.#boundaryOp()]];
    for (let at = 0; at < keys.length; at += sliceMax) {
      const slice = keys.slice(at, at + sliceMax).map(deletion);
      if (at === 0) groups[0]!.push(...slice);
      else groups.push(slice);
    }
    return groups;
  }

  /** The log is replaced by a snapshot's position, the rows by those of a new generation. */
  install(applied: Applied): DbOp[] {
    const ops: DbOp[] = [];
    for (const entry of this.#entries) ops.push(deletion(logKey(entry.index)));
    for (const index of this.#markers) ops.push(deletion(markerKey(index)));
    this.#boundary = { index: applied.index, term: applied.term, chain: 0 };
    this.#entries = [];
    this.#sizes = [];
    this.#chains = [];
    this.#markers = [];
    this.#bytes = 0;
    this.#hotBytes = 0;
    this.#cold = applied.index;
    this.#archive?.clear();
    ops.push(this.#boundaryOp());
    ops.push({ key: META.applied, value: encodeJson(applied), secret: false });
    return ops;
  }

  #truncate(from: number): void {
    // What is applied is committed, and never replaced.
    assert(from > this.#cold, `entries from ${from} are replaced, but they are applied`);
    const keep = from - this.#boundary.index - 1;
    for (let i = keep; i < this.#sizes.length; i++) {
      this.#bytes -= this.#sizes[i]!;
      this.#hotBytes -= this.#sizes[i]!;
    }
    this.#entries.length = keep;
    this.#sizes.length = keep;
    this.#chains.length = keep;
  }

  /** Lets go of the oldest entries that are applied on disk, until the rest is little enough. */
  #cool(): void {
    if (this.#archive === undefined) return;
    while (this.#hotBytes > LIMITS.raftLogMemoryBytesMax && this.#cold < this.#applied.index) {
      const at = this.#cold - this.#boundary.index;
      const { index, term, type } = this.#entries[at]!;
      this.#entries[at] = { index, term, type, data: NO_BYTES };
      this.#hotBytes -= this.#sizes[at]!;
      this.#cold = index;
    }
  }
  #boundaryOp(): DbOp {
    return { key: META.boundary, value: encodeJson(this.#boundary), secret: false };
  }
}

function deletion(key: Uint8Array): DbOp {
  return { key, value: undefined, secret: false };
}
