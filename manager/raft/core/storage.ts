/**
 * What the core reads of the durable log. It never writes: writing is the driver's, as told by
 * Ready or by StorageAppend messages.
 *
 * The calls are synchronous, so an implementation over asynchronous storage keeps in memory what
 * can be asked for without warning: terms of all entries not yet compacted, and the entries above
 * the applied index. Older entries (for a slow follower) may answer `pending`.
 */
import { assert } from '../../../shared/assert.ts';
import { entrySize } from './entry-size.ts';
import type { ConfState, Entry, HardState, Snapshot } from './types.ts';
import { EMPTY_CONF_STATE, EMPTY_HARD_STATE, NO_BYTES } from './types.ts';

/**
 * `compacted`: below the first index, a snapshot is needed. `unavailable`: above the last index.
 * `pending`: being read; the peer that needs it is tried again at its next heartbeat answer, or
 * at once by `retryAppends`.
 */
export type StorageError = 'compacted' | 'unavailable' | 'pending';

export interface Storage {
  /** As it was when the process started; asked once. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };
  /**
   * Entries in [lo, hi), at least one, then as many as fit into `sizeBytesMax` together.
   * The caller does not change the array. `pending` only at or below the applied index.
   */
  entries(lo: number, hi: number, sizeBytesMax: number): readonly Entry[] | StorageError;
  /** The term of an entry in [firstIndex - 1, lastIndex]; never `pending`. */
  term(index: number): number | StorageError;
  /** The first index that `entries` can answer; lower ones are covered by the snapshot. */
  firstIndex(): number;
  lastIndex(): number;
  /** The newest snapshot, or `pending` when it is being made: asked again later. */
  snapshot(): Snapshot | 'pending';
}

/**
 * Storage in memory: for tests, the scripts and the simulator, and for a driver that keeps the
 * uncompacted log in memory beside its database.
 * Invariant: `ents[0]` is a placeholder with the index and term of the snapshot; indexes in `ents`
 * are contiguous.
 */
export class MemoryStorage implements Storage {
  private hard: HardState = EMPTY_HARD_STATE;
  private snap: Snapshot = { index: 0, term: 0, confState: EMPTY_CONF_STATE, data: NO_BYTES };
  private ents: Entry[] = [placeholder(0, 0)];

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.hard, confState: this.snap.confState };
  }

  entries(lo: number, hi: number, sizeBytesMax: number): readonly Entry[] | StorageError {
    const offset = this.offset();
    if (lo <= offset) return 'compacted';
    assert(hi <= this.lastIndex() + 1, `entries up to ${hi} asked, last is ${this.lastIndex()}`);
    if (this.ents.length === 1) return 'unavailable';
    let size = 0;
    let end = lo;
    while (end < hi) {
      size += entrySize(this.ents[end - offset]!);
      if (size > sizeBytesMax && end > lo) break;
      end++;
    }
    return this.ents.slice(lo - offset, end - offset);
  }

  term(index: number): number | StorageError {
    const offset = this.offset();
    if (index < offset) return 'compacted';
    return this.ents[index - offset]?.term ?? 'unavailable';
  }

  firstIndex(): number {
    return this.offset() + 1;
  }

  lastIndex(): number {
    return this.offset() + this.ents.length - 1;
  }

  snapshot(): Snapshot | 'pending' {
    return this.snap;
  }

  setHardState(hard: HardState): void {
    this.hard = hard;
  }

  /** Replaces everything by a snapshot; false, and nothing done, if it is not a newer one. */
  applySnapshot(snap: Snapshot): boolean {
    if (this.snap.index >= snap.index) return false;
    this.snap = snap;
    this.ents = [placeholder(snap.index, snap.term)];
    return true;
  }

  /** Remembers a snapshot at an applied index of the log; the log itself stays. */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array): Snapshot {
    assert(index > this.snap.index, `snapshot ${index} is not above ${this.snap.index}`);
    assert(index <= this.lastIndex(), `snapshot ${index} is above the log`);
    this.snap = { index, term: this.ents[index - this.offset()]!.term, confState, data };
    return this.snap;
  }

  /** Drops entries up to and including `index`; false if they are gone already. */
  compact(index: number): boolean {
    const offset = this.offset();
    if (index <= offset) return false;
    assert(index <= this.lastIndex(), `compaction to ${index} is above the log`);
    const head = this.ents[index - offset]!;
    this.ents = [placeholder(head.index, head.term), ...this.ents.slice(index - offset + 1)];
    return true;
  }

  /** Appends, overwriting from the first given index on; what is compacted already is skipped. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const first = this.firstIndex();
    const last = entries[0]!.index + entries.length - 1;
    if (last < first) return;
    const fresh = first > entries[0]!.index ? entries.slice(first - entries[0]!.index) : entries;
    const at = fresh[0]!.index - this.offset();
    assert(at <= this.ents.length, `a gap before ${fresh[0]!.index}, last is ${this.lastIndex()}`);
    this.ents.length = at;
    for (const e of fresh) this.ents.push(e);
  }

  private offset(): number {
    return this.ents[0]!.index;
  }
}

function placeholder(index: number, term: number): Entry {
  return { index, term, type: 0, data: NO_BYTES };
}
