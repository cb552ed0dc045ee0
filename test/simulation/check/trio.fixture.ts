import type { DbOp } from '../../../manager/database/index.ts';
import { type ConfState, EntryType, MessageType } from '../../../manager/raft/core/index.ts';
import { logKey, META } from '../../../manager/raft/storage/keys.ts';
import { encodeRecord } from '../../../manager/raft/storage/log-record.ts';
import { encodeHard, encodeJson } from '../../../manager/raft/storage/meta.ts';
import type { RowChange } from '../../../manager/replication.ts';
import { RaftFrame, RaftMessage } from '../../../proto/index.ts';
import { Counters } from '../engine/counters.ts';
import { Checker } from './checker.ts';
import type { Observed } from './verdict.ts';

/** An entry of a log: `data` tells two of the same index and term apart. */
export interface Written {
  readonly index: number;
  readonly term: number;
  readonly type?: EntryType;
  readonly data?: string;
}
interface Hard {
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
}
type Member = { -readonly [K in keyof Observed]: Observed[K] };
type Init = Parameters<typeof RaftMessage.create>[0];

/**
 * Three members as the checker sees them, each with entries 1 to 3 of term 1: the rows that they
 * began with, and two changes of members. The first one leads. Nothing is wrong yet.
 */
export class Trio {
  readonly checker = new Checker(new Counters(), () => undefined);
  readonly #members = new Map<number, Member>();
  readonly #hard = new Map<number, Hard>();
  readonly #lastIndex = new Map<number, number>();

  constructor() {
    this.checker.begin(1, 1, 1, []);
    for (const id of [1, 2, 3]) {
      const alone = confOf([1]);
      const name = `member ${id}`;
      const member = { raftId: id, epoch: 1, name, confState: alone, appliedIndex: 1 };
      this.#members.set(id, { ...member, committedIndex: 1 });
      const boundary = encodeJson({ index: 1, term: 0, chain: 0 });
      this.checker.wrote(this.of(id), [{ key: META.boundary, value: boundary, secret: false }]);
      const changes = [2, 3].map((index) => ({ index, term: 1, type: EntryType.ConfChangeV2 }));
      this.write(id, changes.slice(0, 1), { vote: 1 });
    }
    this.send(1, { type: MessageType.Heartbeat, to: 2 });
    for (const [index, voters] of [[2, [1, 2]] as const, [3, [1, 2, 3]] as const]) {
      for (const id of [1, 2, 3]) {
        if (index === 3) this.write(id, [{ index, term: 1, type: EntryType.ConfChangeV2 }]);
        else this.#lastIndex.set(id, 2);
      }
      for (const id of [1, 2, 3]) this.change(id, index, 1, [...voters]);
    }
  }

  get violations(): readonly string[] {
    return this.checker.violations;
  }
  of(id: number): Member {
    return this.#members.get(id)!;
  }

  /** A synced write: entries, hard state, and what is cut off. */
  write(
    id: number,
    entries: readonly Written[],
    hard: Partial<Hard> = {},
    cut: number[] = [],
  ): void {
    this.checker.wrote(this.of(id), this.ops(id, entries, hard, cut));
  }
  ops(
    id: number,
    entries: readonly Written[],
    hard: Partial<Hard> = {},
    cut: readonly number[] = [],
  ): DbOp[] {
    const before = this.#hard.get(id) ?? { term: 1, vote: 0, commit: 0 };
    const now = { ...before, ...hard };
    this.#hard.set(id, now);
    const kept = Math.min(this.#lastIndex.get(id) ?? 1, ...cut.map((index) => index - 1));
    const lastIndex = Math.max(kept, ...entries.map(({ index }) => index));
    this.#lastIndex.set(id, lastIndex);
    const value = encodeHard({ ...now, lastIndex, voteSequence: 1 });
    return [
      ...cut.map((index) => ({ key: logKey(index), value: undefined, secret: true })),
      ...entries.map((entry) => ({ key: logKey(entry.index), value: record(entry), secret: true })),
      { key: META.hardState, value, secret: false },
    ];
  }

  /** The same entries on these, durable. */
  replicate(ids: readonly number[], ...entries: readonly Written[]): void {
    const term = Math.max(...entries.map((entry) => entry.term));
    for (const id of ids) this.write(id, entries, { term });
  }

  apply(id: number, index: number, term: number, rows: readonly RowChange[] = []): void {
    this.checker.applied(this.of(id), index, term, rows);
  }
  /** Applies a change of members. */
  change(id: number, index: number, term: number, voters: readonly number[]): void {
    const member = this.of(id);
    this.checker.applied(member, index, term, undefined);
    const before = member.confState;
    member.confState = confOf(voters);
    this.checker.configured(member, before);
  }

  send(id: number, message: Init): void {
    this.checker.sent(this.of(id), frameOf({ from: id, term: 1, ...message }));
  }
  receive(id: number, message: Init): void {
    this.checker.received(this.of(id), frameOf({ to: id, term: 1, ...message }));
  }
  /** Both vote for it, durably, and it says its first word. */
  elect(id: number, term: number, by: readonly number[]): void {
    for (const voter of by) this.write(voter, [], { term, vote: id });
    for (const voter of by) {
      if (voter !== id) this.send(voter, { type: MessageType.VoteResp, to: id, term });
    }
    this.send(id, { type: MessageType.Heartbeat, term });
  }
}

function frameOf(message: Init): RaftFrame {
  return RaftFrame.create({ messages: [RaftMessage.create(message)] });
}

function confOf(voters: readonly number[]): ConfState {
  return { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
}

function record({ index, term, type = EntryType.Normal, data = '' }: Written): Uint8Array {
  return encodeRecord({ index, term, type, data: Buffer.from(data) }, 0);
}
