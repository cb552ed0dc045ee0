import type { DbOp } from '../../../manager/database/index.ts';
import { crc32 } from '../../../manager/database/index.ts';
import { EntryType } from '../../../manager/raft/core/index.ts';
import { keyNumber, META, readU64 } from '../../../manager/raft/storage/keys.ts';
import { decodeHard } from '../../../manager/raft/storage/meta.ts';
import { decodeVote } from '../../../manager/raft/storage/vote-file.ts';

/** A log entry as it was written: its term and a checksum of the rest. */
export interface WrittenEntry {
  readonly index: number;
  readonly term: number;
  readonly crc: number;
}

const META_PREFIX = 0x6d;
const LOG_PREFIX = 0x6c;
const RECORD_HEADER = 14;
const HARD = keyText(META.hardState);
const BOUNDARY = keyText(META.boundary);

/** What one raft id has durable on its disk, followed write by write. */
export class MemberLog {
  readonly raftId: number;
  /** By index, of what is not compacted. */
  readonly terms = new Map<number, number>();
  /** Indexes of entries that change the members. */
  readonly changes = new Set<number>();
  boundary = { index: 0, term: 0 };
  hard = { term: 0, vote: 0, commit: 0 };
  lastIndex = 0;
  #vote = { sequence: 0, term: 0, vote: 0 };

  constructor(raftId: number) {
    this.raftId = raftId;
  }

  get term(): number {
    return Math.max(this.hard.term, this.#vote.term);
  }
  /** Of the last entry in its log. */
  get lastTerm(): number {
    return this.termAt(this.lastIndex) ?? 0;
  }
  /** Whom it voted for in `term`, as its disk says; 0: nobody. */
  votedIn(term: number): number {
    if (this.#vote.term === term && this.#vote.vote !== 0) return this.#vote.vote;
    return this.hard.term === term ? this.hard.vote : 0;
  }
  /** Whether the entry is in its log, or below what it compacted. */
  has(index: number, term: number): boolean {
    if (index < this.boundary.index) return true;
    if (index === this.boundary.index) return this.boundary.term === term;
    return this.terms.get(index) === term;
  }
  termAt(index: number): number | undefined {
    return index === this.boundary.index ? this.boundary.term : this.terms.get(index);
  }

  /** Takes a durable write; returns entries written, and those that are not there after it. */
  take(ops: readonly DbOp[]): {
    readonly written: WrittenEntry[];
    readonly dropped: (readonly [index: number, term: number])[];
  } {
    const written: WrittenEntry[] = [];
    const dropped: (readonly [number, number])[] = [];
    this.#takeMeta(ops);
    for (const { key, value } of ops) {
      if (key[0] !== LOG_PREFIX) continue;
      const index = keyNumber(key);
      const before = this.terms.get(index);
      const term = value && readU64(value, 2);
      if (before !== undefined && term !== before && index > this.boundary.index)
        dropped.push([index, before]);
      this.changes.delete(index);
      if (value === undefined || term === undefined) this.terms.delete(index);
      else {
        this.terms.set(index, term);
        if (value[1] !== EntryType.Normal) this.changes.add(index);
        written.push({ index, term, crc: crc32(value.subarray(RECORD_HEADER), value[1]) });
      }
    }
    // One batch may drop an entry and write it back.
    return { written, dropped: dropped.filter(([index, term]) => this.terms.get(index) !== term) };
  }

  takeVote(bytes: Uint8Array): void {
    const vote = decodeVote(bytes);
    if (vote && vote.sequence >= this.#vote.sequence) this.#vote = vote;
  }

  #takeMeta(ops: readonly DbOp[]): void {
    for (const { key, value } of ops) {
      if (key[0] !== META_PREFIX || value === undefined) continue;
      const name = keyText(key);
      if (name === BOUNDARY) this.boundary = JSON.parse(Buffer.from(value).toString());
      if (name !== HARD) continue;
      const { term, vote, commit, lastIndex } = decodeHard(value);
      this.hard = { term, vote, commit };
      this.lastIndex = lastIndex;
    }
  }
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
