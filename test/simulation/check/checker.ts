import type { DbOp } from '../../../manager/database/index.ts';
import { type ConfState, MessageType } from '../../../manager/raft/core/index.ts';
import type { RowChange } from '../../../manager/replication.ts';
import type { AppliedEntry } from '../../../manager/store/view.ts';
import type { RaftFrame } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Counters } from '../engine/counters.ts';
import { Answers } from './answers.ts';
import { DurableLogs } from './durable-logs.ts';
import { Elections } from './elections.ts';
import { type Cut, History } from './history.ts';
import { Moments } from './moments.ts';
import { type Observed, Verdict } from './verdict.ts';
import { Windows } from './windows.ts';
import { RowWriters } from './writers.ts';

/**
 * Sees everything that members write, send, apply and answer, and compares it with what raft
 * promises. It knows more than any member: all of them, over all their restarts.
 */
export class Checker {
  readonly verdict: Verdict;
  readonly logs: DurableLogs;
  readonly answers: Answers;
  readonly elections: Elections;
  readonly writers: RowWriters;
  readonly moments = new Moments();
  readonly #windows: Windows;
  /** Raft ids whose state was found damaged. */
  readonly #damaged = new Set<number>();
  /** By epoch: members of an older one may come back, and live in theirs until they hear. */
  readonly #histories = new Map<number, History>();
  #history!: History;
  #cut: Cut | undefined;

  constructor(counters: Counters, onViolation: () => void) {
    this.verdict = new Verdict(onViolation);
    this.logs = new DurableLogs(this.verdict, counters, (who) => this.#of(who));
    this.answers = new Answers(this.verdict);
    this.writers = new RowWriters(this.verdict);
    this.#windows = new Windows(this.verdict);
    const newest = (who: Observed) => this.#of(who).newest;
    const begins = (raftId: number) => this.moments.tell('a leader begins', raftId);
    this.elections = new Elections(this.verdict, counters, this.logs, newest, begins);
  }

  /** Of the newest epoch. */
  get history(): History {
    return this.#history;
  }
  get newestEpoch(): number {
    return Math.max(...this.#histories.keys());
  }
  #of({ epoch }: Observed): History {
    return this.#histories.get(epoch) ?? this.#history;
  }
  begin(epoch: number, voter: number, index: number, rows: readonly RowChange[]): void {
    this.#history = new History(this.verdict, () => this.logs, { voter, index, rows });
    this.#histories.set(epoch, this.#history);
  }
  /** An operator goes on from an older state, in a new epoch: looked at when it is loaded. */
  cut(upTo: number, sure: number): void {
    this.#cut = { before: this.#history, upTo, sure };
    this.answers.cut(sure, upTo > sure);
  }

  get violations(): readonly string[] {
    return this.verdict.violations;
  }
  fail(what: string): void {
    this.verdict.fail(what);
  }

  /** A caller got an error: one with a reason for users, or what follows from a bug. */
  refused(who: Observed, error: unknown): void {
    if (SwarmError.is(error) && error.code !== 'INTERNAL') return;
    const stack = error instanceof Error ? error.stack : String(error);
    this.fail(`${who.name}: a caller was told ${stack}`);
  }

  // -- the disk

  /** A synced batch of the database, before those who asked for it hear that it is durable. */
  wrote(who: Observed, ops: readonly DbOp[]): void {
    this.logs.wrote(who, ops);
    this.elections.wrote(who, this.logs.of(who.raftId).lastTerm);
  }
  opened(who: Observed, ops: readonly DbOp[], votes: readonly Uint8Array[]): void {
    this.logs.opened(who, ops, votes);
  }
  /** Its state is damaged: nobody may hear a vote or an acknowledgement under this id again. */
  damaged(raftId: number): void {
    this.#damaged.add(raftId);
  }
  voteWritten(raftId: number, bytes: Uint8Array): void {
    this.logs.of(raftId).takeVote(bytes);
  }

  // -- messages

  /** A frame leaves a member: nothing in it may depend on what is not durable. */
  sent(who: Observed, frame: RaftFrame): void {
    for (const m of frame.messages) {
      switch (m.type) {
        case MessageType.App:
          this.logs.told(who, m);
          this.#windows.sent(who, m);
          this.elections.leads(who, m.term);
          break;
        case MessageType.Heartbeat:
        case MessageType.TimeoutNow:
          this.elections.leads(who, m.term);
          break;
        case MessageType.PreVote:
        case MessageType.Vote:
          this.#of(who).stands(who);
          break;
        case MessageType.VoteResp:
          if (!m.reject) this.#promised(who, () => this.elections.voted(who, m.term, m.to));
          break;
        case MessageType.AppResp:
          if (!m.reject) this.#promised(who, () => this.logs.acknowledged(who, m));
          break;
      }
    }
  }
  #promised(who: Observed, check: () => void): void {
    if (this.#damaged.has(who.raftId))
      this.fail(`${who.name}: its state is damaged, and it makes promises`);
    check();
  }
  /** A frame reaches a member. */
  received(who: Observed, frame: RaftFrame): void {
    for (const m of frame.messages)
      if (m.type === MessageType.AppResp && m.to === who.raftId) this.#windows.answered(who, m);
  }

  // -- the state

  applied(
    who: Observed,
    index: number,
    term: number,
    rows: readonly RowChange[] | undefined,
  ): void {
    this.logs.applied(who, index, term);
    this.#of(who).applied(who, index, term, rows, this.elections.countedBy(who, index));
  }
  configured(who: Observed, before: ConfState): void {
    const { config } = this.#history;
    this.#of(who).configured(who, before);
    if (this.#history.config !== config) this.moments.tell('the members change', who.raftId);
  }
  loaded(who: Observed, index: number, rows: readonly RowChange[]): void {
    if (this.#cut && index > 0 && !this.#histories.has(who.epoch)) {
      this.begin(who.epoch, who.raftId, index, rows);
      this.#history.checkCut(who, this.#cut, rows);
      this.#cut = undefined;
    }
    this.#of(who).loaded(who, index, rows);
  }
  /** After the store took an entry. True when nobody did before. */
  stored(who: Observed, entry: AppliedEntry, tokens: readonly string[]): boolean {
    const history = this.#of(who);
    const isFirst = history.stored(who, entry.index, entry.timeMs) && history === this.#history;
    if (isFirst) {
      this.answers.done(tokens, entry.index);
      this.writers.applied(who, entry);
    }
    return isFirst;
  }
}
