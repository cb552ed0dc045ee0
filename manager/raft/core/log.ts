/**
 * The log as one: what is durable (storage) and what is not yet (unstable), with the marks that
 * move over it (dissertation section 3.5).
 */
import { assert, assertSafeInteger } from '../../../shared/assert.ts';
import { entrySize, limitSize } from './entry-size.ts';
import type { Storage, StorageError } from './storage.ts';
import type { Tracer } from './trace.ts';
import type { Entry, Snapshot } from './types.ts';
import { NO_ENTRIES } from './types.ts';
import { Unstable } from './unstable.ts';

export class Log {
  readonly unstable: Unstable;
  /** Invariant: committed <= lastIndex, and never falls. */
  committed: number;
  /** Handed out for applying. Invariant: applied <= applying <= committed. */
  applying: number;
  /** Applied. Invariant: applied <= committed, and never falls. */
  applied: number;
  /** Bytes handed out and not applied. */
  private applyingSize = 0;
  /** No more is handed out until some of it is applied. */
  private applyingPaused = false;
  private readonly storage: Storage;
  private readonly tracer: Tracer;
  private readonly maxApplyingSize: number;

  constructor(storage: Storage, tracer: Tracer, maxApplyingSize: number) {
    this.storage = storage;
    this.tracer = tracer;
    this.maxApplyingSize = maxApplyingSize;
    const firstIndex = storage.firstIndex();
    this.unstable = new Unstable(storage.lastIndex() + 1, tracer);
    this.committed = firstIndex - 1;
    this.applying = firstIndex - 1;
    this.applied = firstIndex - 1;
  }

  toString(): string {
    const u = this.unstable;
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${u.offset}, unstable.offsetInProgress=${u.offsetInProgress}, ` +
      `len(unstable.Entries)=${u.length}`
    );
  }

  firstIndex(): number {
    return this.unstable.snapshot !== null
      ? this.unstable.snapshot.index + 1
      : this.storage.firstIndex();
  }

  lastIndex(): number {
    return this.unstable.lastIndex() || this.storage.lastIndex();
  }

  term(index: number): number | StorageError {
    const unstable = this.unstable.term(index);
    if (unstable >= 0) return unstable;
    // The term just below the first index is still known: it is that of the snapshot.
    if (index + 1 < this.firstIndex()) return 'compacted';
    if (index > this.lastIndex()) return 'unavailable';
    return this.storage.term(index);
  }

  /** 0 where the log does not reach. */
  termOrZero(index: number): number {
    const term = this.term(index);
    return typeof term === 'number' ? term : 0;
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex());
    assert(typeof term === 'number', 'the last entry has no term');
    return term;
  }

  matchTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends so has at least what this one has (dissertation section 3.6.1). */
  isUpToDate(index: number, term: number): boolean {
    const lastTerm = this.lastTerm();
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex());
  }

  /** Leader only: its own new entries. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const after = entries[0]!.index - 1;
    assert(after >= this.committed, `append after ${after} is below commit ${this.committed}`);
    this.unstable.truncateAndAppend(entries);
  }

  /**
   * The follower's side of an App (dissertation figure 3.1, AppendEntries receiver 2 to 5). The
   * index of the last entry it spoke of, or -1 if the entry before them does not match. Entries
   * that are there already are left alone, so a late duplicate truncates nothing.
   */
  maybeAppend(prevIndex: number, prevTerm: number, commit: number, ents: readonly Entry[]): number {
    if (!this.matchTerm(prevIndex, prevTerm)) return -1;
    const last = prevIndex + ents.length;
    const conflict = this.findConflict(ents);
    if (conflict !== 0) {
      assert(conflict > this.committed, `entry ${conflict} conflicts with a committed one`);
      this.append(ents.slice(conflict - prevIndex - 1));
    }
    this.commitTo(Math.min(commit, last));
    return last;
  }

  /** The first given entry that is not in the log as it is; 0 if all are. */
  private findConflict(entries: readonly Entry[]): number {
    for (const e of entries) {
      if (this.matchTerm(e.index, e.term)) continue;
      if (e.index <= this.lastIndex()) {
        const existing = this.termOrZero(e.index);
        this.tracer.info(
          () =>
            `found conflict at index ${e.index} ` +
            `[existing term: ${existing}, conflicting term: ${e.term}]`,
        );
      }
      return e.index;
    }
    return 0;
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: where two logs may agree,
   * so that a refusal skips whole terms. Where the log does not reach down, its term is 0.
   */
  findConflictByTerm(index: number, term: number): { index: number; term: number } {
    for (let i = index; i > 0; i--) {
      const ours = this.term(i);
      if (typeof ours !== 'number') return { index: i, term: 0 };
      if (ours <= term) return { index: i, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    const last = this.lastIndex();
    assert(index <= last, `commit ${index} is beyond the last entry ${last}: the log lost entries`);
    assertSafeInteger(index, 'commit index');
    this.committed = index;
  }

  /** Commits if `index` is of `term`: older terms are never committed by counting (figure 3.7). */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  appliedTo(index: number, sizeBytes: number): void {
    assert(index <= this.committed, `applied ${index} is beyond commit ${this.committed}`);
    assert(index >= this.applied, `applied ${index} is below ${this.applied}`);
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.applyingSize = Math.max(0, this.applyingSize - sizeBytes);
    this.applyingPaused = this.applyingSize >= this.maxApplyingSize;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    if (this.applyingPaused || this.unstable.snapshot !== null) return false;
    return this.applying < this.maxAppliable(allowUnstable);
  }

  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return NO_ENTRIES;
    const room = this.maxApplyingSize - this.applyingSize;
    assert(room > 0, 'applying is full and not paused');
    const entries = this.slice(this.applying + 1, this.maxAppliable(allowUnstable) + 1, room);
    assert(typeof entries !== 'string', `committed entries cannot be read: ${entries}`);
    return entries;
  }

  acceptApplying(index: number, sizeBytes: number, allowUnstable: boolean): void {
    assert(index <= this.committed, `applying ${index} is beyond commit ${this.committed}`);
    this.applying = index;
    this.applyingSize += sizeBytes;
    // What stopped the hand-out was the size if there is more: wait until some of it is applied.
    this.applyingPaused =
      this.applyingSize >= this.maxApplyingSize || index < this.maxAppliable(allowUnstable);
  }

  /** With asynchronous writes only durable entries are applied: a crash must not unwrite them. */
  private maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  entriesFrom(index: number, sizeBytesMax: number): readonly Entry[] | StorageError {
    const last = this.lastIndex();
    return index > last ? NO_ENTRIES : this.slice(index, last + 1, sizeBytesMax);
  }

  /** Entries in [lo, hi), at least one unless empty, then as many as fit. */
  slice(lo: number, hi: number, sizeBytesMax: number): readonly Entry[] | StorageError {
    assert(lo <= hi, `slice from ${lo} to ${hi}`);
    if (lo < this.firstIndex()) return 'compacted';
    assert(hi <= this.lastIndex() + 1, `slice to ${hi} ends beyond ${this.lastIndex()}`);
    if (lo === hi) return NO_ENTRIES;
    const { offset } = this.unstable;
    if (lo >= offset) return limitSize(this.unstable.slice(lo, hi), sizeBytesMax);
    const cut = Math.min(hi, offset);
    const stable = this.storage.entries(lo, cut, sizeBytesMax);
    if (typeof stable === 'string') {
      assert(stable !== 'unavailable', `storage has no entries in ${lo} to ${cut}`);
      return stable;
    }
    if (hi <= offset || stable.length < cut - lo) return stable;
    return this.appendUnstable(stable, hi, sizeBytesMax);
  }

  private appendUnstable(stable: readonly Entry[], hi: number, max: number): readonly Entry[] {
    let size = 0;
    for (const e of stable) size += entrySize(e);
    if (size >= max) return stable;
    const joined = stable.slice();
    for (const e of this.unstable.slice(this.unstable.offset, hi)) {
      size += entrySize(e);
      if (size > max) break;
      joined.push(e);
    }
    return joined;
  }

  snapshot(): Snapshot | 'pending' {
    return this.unstable.snapshot ?? this.storage.snapshot();
  }

  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot;
    this.tracer.info(
      () => `log [${this}] starts to restore snapshot [index: ${index}, term: ${term}]`,
    );
    this.committed = index;
    this.unstable.restore(snapshot);
  }
}
