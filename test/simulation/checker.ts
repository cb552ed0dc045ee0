import type { DbOp } from '../../manager/database/index.ts';
import { crc32 } from '../../manager/database/index.ts';
import { type ConfState, MessageType } from '../../manager/raft/core/index.ts';
import type { RowChange } from '../../manager/replication.ts';
import type { AppliedEntry } from '../../manager/store/view.ts';
import type { RaftFrame } from '../../proto/index.ts';
import type { Counters } from './counters.ts';
import { MemberLog } from './member-log.ts';

/** What the checker is told about the process that speaks. */
export interface Observed {
  readonly raftId: number;
  readonly name: string;
  /** The members as this process applied them last. */
  confState: ConfState;
  appliedIndex: number;
}

interface Committed {
  readonly term: number;
  rowsCrc: number | undefined;
  timeMs: number | undefined;
  /** Sum over all rows after this entry. */
  hash: number;
}

const HASH_MODULUS = 2 ** 50;

/**
 * Sees everything that members write, send, apply and answer, and compares it with what raft
 * promises. It knows more than any member: all of them, over all their restarts.
 */
export class Checker {
  readonly violations: string[] = [];
  readonly members = new Map<number, MemberLog>();
  /** Raft ids that a committed change took out. */
  readonly removed = new Set<number>();
  readonly committed = new Map<number, Committed>();
  committedIndex = 1;
  /** Highest index of an entry whose caller was answered. */
  answeredIndex = 1;
  readonly #counters: Counters;
  readonly #onViolation: () => void;
  readonly #leaders = new Map<number, { raftId: number; mustHave: number; isChecked: boolean }>();
  readonly #votes = new Map<string, number>();
  readonly #entries = new Map<string, { crc: number; previousTerm: number | undefined }>();
  readonly #configs: ConfState[] = [];
  readonly #rows = new Map<string, number>();
  readonly #tokens = new Map<string, number>();
  readonly #refused = new Set<string>();
  #hash = 0;
  #timeMs = 0;

  constructor(counters: Counters, onViolation: () => void) {
    this.#counters = counters;
    this.#onViolation = onViolation;
  }

  fail(what: string): void {
    this.violations.push(what);
    this.#onViolation();
  }

  member(raftId: number): MemberLog {
    const known = this.members.get(raftId);
    if (known) return known;
    const made = new MemberLog(raftId);
    this.members.set(raftId, made);
    return made;
  }

  // -- the disk

  wrote(who: Observed, ops: readonly DbOp[]): void {
    const log = this.member(who.raftId);
    const before = log.hard;
    const { written, dropped } = log.take(ops);
    const { hard } = log;
    if (hard.term < before.term) this.fail(`${who.name}: its term fell to ${hard.term}`);
    if (hard.commit < before.commit) this.fail(`${who.name}: its commit index fell`);
    if (hard.term === before.term && before.vote !== 0 && hard.vote !== before.vote)
      this.fail(`${who.name}: its vote of term ${hard.term} changed`);
    for (const [index, term] of dropped) {
      this.#counters.count('log truncated');
      if (this.committed.get(index)?.term === term)
        this.fail(`${who.name}: dropped the committed entry ${index} of term ${term}`);
    }
    for (const entry of written) this.#checkEntry(who, log, entry.index, entry.term, entry.crc);
  }

  /** Log matching: an index and a term name one entry, and one history before it. */
  #checkEntry(who: Observed, log: MemberLog, index: number, term: number, crc: number): void {
    const name = `${index}/${term}`;
    const previousTerm = log.termAt(index - 1);
    const known = this.#entries.get(name);
    if (known === undefined) this.#entries.set(name, { crc, previousTerm });
    else if (known.crc !== crc) this.fail(`${who.name}: another entry at ${name}`);
    else if (known.previousTerm !== previousTerm && known.previousTerm !== undefined) {
      if (previousTerm !== undefined) this.fail(`${who.name}: another history before ${name}`);
    }
    const leader = this.#leaders.get(term);
    if (!leader || leader.isChecked || leader.raftId !== who.raftId) return;
    leader.isChecked = true;
    const must = this.committed.get(leader.mustHave);
    if (must && !log.has(leader.mustHave, must.term))
      this.fail(`${who.name}: leads term ${term} without committed entry ${leader.mustHave}`);
  }

  /** Its state was opened again, and found sound: everything that it ever promised must be there. */
  opened(who: Observed, ops: readonly DbOp[]): void {
    const before = this.member(who.raftId);
    const now = new MemberLog(who.raftId);
    now.take(ops);
    now.vote = before.vote;
    this.members.set(who.raftId, now);
    for (const [index, term] of before.terms) {
      if (index <= now.boundary.index || now.terms.has(index)) continue;
      // Gone by a truncation that was written and not yet seen by us, or lost.
      if (this.committed.get(index)?.term === term)
        this.fail(`${who.name}: opened without the durable committed entry ${index}`);
    }
  }

  // -- messages

  sent(who: Observed, frame: RaftFrame): void {
    const log = this.member(who.raftId);
    for (const m of frame.messages) {
      switch (m.type) {
        case MessageType.App:
        case MessageType.Heartbeat:
        case MessageType.TimeoutNow:
          this.#leads(who, m.term);
          break;
        case MessageType.VoteResp:
          if (m.reject) break;
          // A batch may have two terms; the later one, durable, keeps the earlier vote as well.
          if (log.term < m.term || (log.term === m.term && log.votedIn(m.term) !== m.to))
            this.fail(`${who.name}: voted in term ${m.term} before the vote was durable`);
          this.#voted(who, m.term, m.to);
          break;
        case MessageType.AppResp:
          if (!m.reject && m.index > log.lastIndex && m.index > log.boundary.index)
            this.fail(`${who.name}: acknowledged entry ${m.index} before it was durable`);
          break;
      }
    }
  }

  #leads(who: Observed, term: number): void {
    const known = this.#leaders.get(term);
    if (known === undefined) {
      this.#counters.count('leader elected');
      const mustHave = this.committedIndex;
      this.#leaders.set(term, { raftId: who.raftId, mustHave, isChecked: false });
      this.#checkElection(who, term);
    } else if (known.raftId !== who.raftId) {
      this.fail(`${who.name}: leads term ${term}, which ${known.raftId} leads`);
    }
  }

  /** A quorum of voters, and nobody else, made it leader; its own vote counts when it is durable. */
  #checkElection(who: Observed, term: number): void {
    const { voters } = who.confState;
    const isFor = (id: number): boolean =>
      this.#votes.get(`${id} ${term}`) === who.raftId ||
      (id === who.raftId && this.member(id).votedIn(term) === id);
    const votes = voters.filter(isFor).length;
    if (votes <= voters.length / 2)
      this.fail(`${who.name}: leads term ${term} by ${votes} votes of ${voters.length}`);
  }

  #voted(who: Observed, term: number, candidate: number): void {
    const name = `${who.raftId} ${term}`;
    const known = this.#votes.get(name);
    if (known === undefined) this.#votes.set(name, candidate);
    else if (known !== candidate) this.fail(`${who.name}: voted twice in term ${term}`);
  }

  // -- applying

  /** Called for every entry, in order, before `who.confState` moves on. */
  applied(
    who: Observed,
    index: number,
    term: number,
    rows: readonly RowChange[] | undefined,
  ): void {
    if (index !== who.appliedIndex + 1)
      this.fail(`${who.name}: applied ${index} after ${who.appliedIndex}`);
    who.appliedIndex = index;
    const rowsCrc = rows && crcOf(rows);
    const known = this.committed.get(index);
    if (known !== undefined) {
      if (known.term !== term || known.rowsCrc !== rowsCrc)
        this.fail(
          `${who.name}: applied another entry at ${index} (term ${term}, not ${known.term})`,
        );
      return;
    }
    if (index !== this.committedIndex + 1)
      this.fail(`${who.name}: applied ${index}, the first one after ${this.committedIndex}`);
    this.#checkQuorum(who, index, term);
    this.committedIndex = index;
    for (const row of rows ?? []) this.#setRow(row);
    this.committed.set(index, { term, rowsCrc, timeMs: undefined, hash: this.#hash });
  }

  /** The rows of the first member, before any entry. */
  bootstrapped(rows: readonly RowChange[]): void {
    for (const row of rows) this.#setRow(row);
    this.committed.set(1, { term: 1, rowsCrc: undefined, timeMs: undefined, hash: this.#hash });
  }

  #checkQuorum(who: Observed, index: number, term: number): void {
    if (!this.#configs.includes(who.confState)) {
      this.#configs.push(who.confState);
      if (this.#configs.length > 4) this.#configs.shift();
    }
    const has = (id: number): boolean => this.member(id).has(index, term);
    const holds = this.#configs.some(({ voters }) => voters.filter(has).length > voters.length / 2);
    if (!holds)
      this.fail(`${who.name}: applied ${index} of term ${term}, which no quorum has durable`);
  }

  /** The members changed, as `who` applied it. */
  configured(who: Observed, before: ConfState): void {
    const after = who.confState;
    const all = new Set([...after.voters, ...after.votersOutgoing, ...after.learners]);
    for (const id of [...before.voters, ...before.learners]) if (!all.has(id)) this.removed.add(id);
    const changed = [...before.voters, ...after.voters].filter(
      (id) => before.voters.includes(id) !== after.voters.includes(id),
    );
    if (changed.length > 1) this.fail(`${who.name}: two voters changed at once`);
  }
  /** The configurations that may be in force somewhere. */
  configs(): readonly ConfState[] {
    return this.#configs;
  }

  #setRow(row: RowChange): void {
    const name = `${row.table}/${row.id}`;
    this.#hash = (this.#hash - (this.#rows.get(name) ?? 0) + HASH_MODULUS) % HASH_MODULUS;
    if (row.bytes === undefined) this.#rows.delete(name);
    else {
      const hash = rowHash(row);
      this.#rows.set(name, hash);
      this.#hash = (this.#hash + hash) % HASH_MODULUS;
    }
  }

  /** All rows of a member were replaced: at its start, or by a snapshot. */
  loaded(who: Observed, index: number, rows: Iterable<RowChange>): void {
    let hash = 0;
    for (const row of rows) hash = (hash + rowHash(row)) % HASH_MODULUS;
    who.appliedIndex = index;
    if (index === 0) return;
    const known = this.committed.get(index);
    if (known === undefined) this.fail(`${who.name}: loaded ${index}, which nobody committed`);
    else if (known.hash !== hash) this.fail(`${who.name}: its state at ${index} is another one`);
  }

  // -- the store

  /** After the store took an entry: cluster time, and what clients wrote. */
  stored(who: Observed, entry: AppliedEntry, tokens: readonly string[]): void {
    const known = this.committed.get(entry.index);
    if (known === undefined) return;
    if (known.timeMs === undefined) {
      known.timeMs = entry.timeMs;
      if (entry.timeMs < this.#timeMs)
        this.fail(`cluster time went back from ${this.#timeMs} to ${entry.timeMs}`);
      this.#timeMs = Math.max(this.#timeMs, entry.timeMs);
      for (const token of tokens) this.#written(token, entry.index);
    } else if (known.timeMs !== entry.timeMs) {
      this.fail(`${who.name}: entry ${entry.index} is of ${entry.timeMs}, not ${known.timeMs}`);
    }
  }

  #written(token: string, index: number): void {
    if (this.#tokens.has(token)) this.fail(`${token} was done twice, at ${index} again`);
    if (this.#refused.has(token)) this.fail(`${token} was refused and is done at ${index}`);
    this.#tokens.set(token, index);
  }

  /** A client was told that it is done, or certainly not. */
  answered(token: string, isDone: boolean): void {
    const index = this.#tokens.get(token);
    if (isDone && index === undefined) this.fail(`${token} was answered and is not in the state`);
    if (isDone && index !== undefined) this.answeredIndex = Math.max(this.answeredIndex, index);
    if (isDone) return;
    if (index !== undefined) this.fail(`${token} was refused and was done at ${index}`);
    this.#refused.add(token);
  }

  readServed(who: Observed, index: number, floor: number): void {
    if (index < floor) this.fail(`${who.name}: a read at ${index}, ${floor} was answered before`);
    if (who.appliedIndex < index)
      this.fail(`${who.name}: a read at ${index} with ${who.appliedIndex} applied`);
  }
}

function rowHash(row: RowChange): number {
  const name = crc32(Buffer.from(`${row.table}/${row.id}/${row.version}`));
  return crc32(row.bytes!, name) * 2 ** 16 + (name & 0xffff);
}

function crcOf(rows: readonly RowChange[]): number {
  let crc = rows.length;
  for (const { table, id, version, bytes } of rows) {
    crc = crc32(Buffer.from(`${table}/${id}/${version}`), crc);
    if (bytes) crc = crc32(bytes, crc);
  }
  return crc;
}
