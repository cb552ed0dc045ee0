import type { DbOp } from '../../../manager/database/index.ts';
import type { RaftMessage } from '../../../proto/index.ts';
import type { Counters } from '../engine/counters.ts';
import { MemberLog, type WrittenEntry } from './member-log.ts';
import type { Observed, Verdict } from './verdict.ts';

/** What is committed in an epoch, as far as anybody knows. */
export interface CommittedTerms {
  readonly index: number;
  termAt(index: number): number | undefined;
  /** Whether a quorum of voters has the entry durable. */
  isOnQuorum(index: number, term: number): boolean;
}

/**
 * What every member that there ever was has durable. Hard state never goes back, logs agree where
 * they have the same index and term, what a member applied it never drops, and what is committed
 * stays on a quorum: who has not heard so may still write over it and back.
 */
export class DurableLogs {
  readonly #verdict: Verdict;
  readonly #counters: Counters;
  readonly #committedOf: (who: Observed) => CommittedTerms;
  readonly #members = new Map<number, MemberLog>();
  readonly #entries = new Map<string, { crc: number; previousTerm: number | undefined }>();

  /** By epoch and term: the first entry that anybody wrote. */
  readonly #firsts = new Map<string, number>();
  /** Entries that a member dropped, as `raftId/index/term`. */
  readonly #dropped = new Set<string>();
  /** By epoch and term: the log as its leader told others, terms by index. */
  readonly #told = new Map<string, Map<number, number>>();

  constructor(
    verdict: Verdict,
    counters: Counters,
    committedOf: (who: Observed) => CommittedTerms,
  ) {
    this.#verdict = verdict;
    this.#counters = counters;
    this.#committedOf = committedOf;
  }

  of(raftId: number): MemberLog {
    const known = this.#members.get(raftId);
    if (known) return known;
    const made = new MemberLog(raftId);
    this.#members.set(raftId, made);
    return made;
  }

  /** The first entry of a term; undefined while it is durable nowhere. */
  firstOf(epoch: number, term: number): number | undefined {
    return this.#firsts.get(`${epoch}/${term}`);
  }

  /** A durable write. */
  wrote(who: Observed, ops: readonly DbOp[]): void {
    const log = this.of(who.raftId);
    const before = log.hard;
    const { written, dropped } = log.take(ops);
    const { hard } = log;
    if (hard.term < before.term) this.#verdict.fail(`${who.name}: its term fell to ${hard.term}`);
    if (hard.commit < before.commit) this.#verdict.fail(`${who.name}: its commit index fell`);
    if (hard.term === before.term && before.vote !== 0 && hard.vote !== before.vote)
      this.#verdict.fail(`${who.name}: its vote of term ${hard.term} changed`);
    for (const [index, term] of dropped) {
      this.#counters.count('log truncated');
      this.#dropped.add(nameOf(who, { index, term }));
      if (index <= who.appliedIndex)
        this.#verdict.fail(`${who.name}: dropped entry ${index} of term ${term}, which it applied`);
      const committed = this.#committedOf(who);
      if (committed.termAt(index) === term && !committed.isOnQuorum(index, term))
        this.#verdict.fail(`${who.name}: dropped the committed entry ${index} of term ${term}`);
    }
    for (const entry of written) {
      if (this.#dropped.size > 0 && this.#dropped.delete(nameOf(who, entry)))
        this.#counters.count('entry written back');
      this.#checkMatching(who, log, entry);
    }
    this.#checkPendingChanges(who, log);
  }

  /**
   * Its state was opened, and found sound: everything that it ever had durable must be there, or
   * was written over meanwhile.
   */
  opened(who: Observed, ops: readonly DbOp[], votes: readonly Uint8Array[]): void {
    const before = this.of(who.raftId);
    const now = new MemberLog(who.raftId);
    now.take(ops);
    for (const bytes of votes) now.takeVote(bytes);
    this.#members.set(who.raftId, now);
    const { term, vote } = before.hard;
    if (now.term < term)
      this.#verdict.fail(`${who.name}: opened in term ${now.term} after ${term}`);
    else if (now.term === term && vote !== 0 && now.votedIn(term) !== vote)
      this.#verdict.fail(`${who.name}: opened with another vote in term ${term}`);
    for (const [index, ofTerm] of before.terms) {
      if (index <= now.boundary.index || now.terms.has(index)) continue;
      if (this.#committedOf(who).termAt(index) === ofTerm)
        this.#verdict.fail(`${who.name}: opened without the durable committed entry ${index}`);
    }
  }

  /** An append, sent by the leader of `term`. */
  told(who: Observed, { term, index, logTerm, entries }: RaftMessage): void {
    const reign = `${who.epoch}/${term}`;
    const told = this.#told.get(reign) ?? new Map<number, number>();
    if (told.size === 0) this.#told.set(reign, told);
    told.set(index, logTerm);
    for (const entry of entries) told.set(entry.index, entry.term);
  }

  /** An acknowledgement up to `index` was sent to the leader of `term`. */
  acknowledged(who: Observed, { term, index }: RaftMessage): void {
    const log = this.of(who.raftId);
    if (index > log.lastIndex && index > log.boundary.index)
      this.#verdict.fail(`${who.name}: acknowledged entry ${index} before it was durable`);
    // Who is in a later term by now may have dropped it meanwhile, which the later leader allowed.
    const told = log.term > term ? undefined : this.#told.get(`${who.epoch}/${term}`)?.get(index);
    if (told !== undefined && !log.has(index, told))
      this.#verdict.fail(`${who.name}: acknowledged entry ${index}, and has another one there`);
  }

  /** Only what cannot be lost any more is applied: a crash must not take it back. */
  applied(who: Observed, index: number, term: number): void {
    if (!this.of(who.raftId).has(index, term))
      this.#verdict.fail(`${who.name}: applied entry ${index} before its own disk had it`);
  }

  /** Log matching: an index and a term name one entry, and one history before it. */
  #checkMatching(who: Observed, log: MemberLog, { index, term, crc }: WrittenEntry): void {
    const name = `${who.epoch}/${index}/${term}`;
    const previousTerm = log.termAt(index - 1);
    const known = this.#entries.get(name);
    const reign = `${who.epoch}/${term}`;
    this.#firsts.set(reign, Math.min(index, this.#firsts.get(reign) ?? index));
    if (known === undefined) this.#entries.set(name, { crc, previousTerm });
    else if (known.crc !== crc) this.#verdict.fail(`${who.name}: another entry at ${name}`);
    else if (known.previousTerm !== previousTerm && known.previousTerm !== undefined) {
      if (previousTerm !== undefined)
        this.#verdict.fail(`${who.name}: another history before ${name}`);
    }
  }

  /** A change of members is proposed only after the one before it is committed and applied. */
  #checkPendingChanges(who: Observed, log: MemberLog): void {
    const pending = [...log.changes].filter((index) => index > this.#committedOf(who).index);
    if (pending.length > 1)
      this.#verdict.fail(`${who.name}: changes of members at ${pending} are open at once`);
  }
}

function nameOf(
  { raftId }: Observed,
  { index, term }: { readonly index: number; readonly term: number },
): string {
  return `${raftId}/${index}/${term}`;
}
