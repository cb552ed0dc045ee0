/**
 * The end of the log that is not known to be durable, and a snapshot that is not.
 *
 *     offset          offsetInProgress        offset + entries.length
 *       | being written      | not yet handed out     |
 */
import { assert } from '../../../shared/assert.ts';
import type { Tracer } from './trace.ts';
import type { Entry, Snapshot } from './types.ts';
import { NO_ENTRIES } from './types.ts';

/**
 * Invariants: entries[i].index === offset + i; offset <= offsetInProgress <= offset + length;
 * with a snapshot, all entries are above it; snapshotInProgress only with a snapshot.
 */
export class Unstable {
  snapshot: Snapshot | null = null;
  /** Never handed out: callers get slices, so that it can be changed in place. */
  private entries: Entry[] = [];
  offset: number;
  snapshotInProgress = false;
  offsetInProgress: number;
  private readonly tracer: Tracer;

  constructor(offset: number, tracer: Tracer) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.tracer = tracer;
  }

  get length(): number {
    return this.entries.length;
  }

  /** 0 when neither an entry nor a snapshot says. */
  lastIndex(): number {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1;
    return this.snapshot?.index ?? 0;
  }

  /** -1 when storage has to be asked. */
  term(index: number): number {
    if (index >= this.offset) return this.entries[index - this.offset]?.term ?? -1;
    if (this.snapshot !== null && this.snapshot.index === index) return this.snapshot.term;
    return -1;
  }

  slice(lo: number, hi: number): readonly Entry[] {
    assert(lo <= hi, `slice from ${lo} to ${hi}`);
    assert(lo >= this.offset, `slice from ${lo} starts below ${this.offset}`);
    assert(hi <= this.offset + this.entries.length, `slice to ${hi} ends beyond the log`);
    return this.entries.slice(lo - this.offset, hi - this.offset);
  }

  hasNextEntries(): boolean {
    return this.offsetInProgress < this.offset + this.entries.length;
  }

  nextEntries(): readonly Entry[] {
    if (!this.hasNextEntries()) return NO_ENTRIES;
    return this.entries.slice(this.offsetInProgress - this.offset);
  }

  nextSnapshot(): Snapshot | null {
    return this.snapshotInProgress ? null : this.snapshot;
  }

  /** Everything there is has been handed out for writing. */
  acceptInProgress(): void {
    if (this.entries.length > 0) this.offsetInProgress = this.offset + this.entries.length;
    if (this.snapshot !== null) this.snapshotInProgress = true;
  }

  /**
   * The log is durable up to this entry. The term matters: a write that was overtaken by a
   * truncation says nothing of the entries that stand at these indexes now.
   */
  stableTo(index: number, term: number): void {
    const held = this.term(index);
    if (held < 0) {
      this.tracer.info(() => `entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.tracer.info(() => `entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (held !== term) {
      const claimed = `(index,term)=(${index},${term})`;
      const found = `(${index},${held})`;
      this.tracer.info(
        () => `entry at ${claimed} mismatched with entry at ${found} in unstable log; ignoring`,
      );
      return;
    }
    this.entries.splice(0, index + 1 - this.offset);
    this.offset = index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot === null || this.snapshot.index !== index) return;
    this.snapshot = null;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.index + 1;
    this.offsetInProgress = this.offset;
    this.entries = [];
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Appends; entries at or above the first given one are replaced, written or not. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = entries[0]!.index;
    const end = this.offset + this.entries.length;
    assert(from <= end, `a gap in the log before ${from}, it ends at ${end}`);
    if (from < end) {
      if (from <= this.offset) {
        this.tracer.info(() => `replace the unstable entries from index ${from}`);
        this.offset = from;
      } else {
        this.tracer.info(() => `truncate the unstable entries before index ${from}`);
      }
      this.entries.length = from - this.offset;
      this.offsetInProgress = Math.min(this.offsetInProgress, from);
    }
    for (const e of entries) this.entries.push(e);
  }
}
