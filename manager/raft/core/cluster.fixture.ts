/**
 * For tests: members in one process with asynchronous storage, whose writes, messages and applies
 * happen when the test says so. What was not written is lost by a crash.
 */
import { assert } from '../../../shared/assert.ts';
import { decodeConfChange } from './confchange-codec.ts';
import type { RaftConfigInput } from './config.ts';
import { RawNode } from './raw-node.ts';
import { MemoryStorage } from './storage.ts';
import type {
  ConfState,
  Entry,
  HardState,
  Message,
  MessageFields,
  NodeId,
  ReadState,
  Snapshot,
} from './types.ts';
import {
  EMPTY_CONF_STATE,
  EntryType,
  LOCAL_APPEND,
  LOCAL_APPLY,
  MessageType,
  message,
  NO_BYTES,
  NO_LIMIT,
} from './types.ts';

/** A small generator (mulberry32): the same seed, the same run. */
export function seeded(seed: number): (n: number) => number {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** Remembers the membership as applied, as a driver does with its applied marker. */
class FixtureStorage extends MemoryStorage {
  confState: ConfState = EMPTY_CONF_STATE;
  applied = 0;

  override initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: super.initialState().hardState, confState: this.confState };
  }

  /** Always of the state as it is now: there is no snapshot file. */
  override snapshot(): Snapshot | 'pending' {
    const term = this.term(this.applied);
    assert(typeof term === 'number', `the applied entry ${this.applied} has no term`);
    return { index: this.applied, term, confState: this.confState, data: NO_BYTES };
  }
}

export type Options = Partial<Omit<RaftConfigInput, 'id' | 'storage'>>;

export class Member {
  readonly id: NodeId;
  readonly storage = new FixtureStorage();
  raw: RawNode;
  appends: Message[] = [];
  applies: Message[] = [];
  /** Messages on their way to others, in the order in which they were sent. */
  outbox: Message[] = [];
  reads: ReadState[] = [];
  /** Everything ever applied, by index; a snapshot leaves a gap. */
  readonly state = new Map<number, Entry>();
  private readonly options: Options;

  constructor(
    id: NodeId,
    start: ConfState,
    options: Options,
    prepare: (storage: FixtureStorage) => void = () => {},
  ) {
    this.id = id;
    this.options = options;
    if (start.voters.length > 0) {
      this.storage.applySnapshot({ index: 1, term: 1, confState: start, data: NO_BYTES });
      this.storage.confState = start;
      this.storage.applied = 1;
    }
    prepare(this.storage);
    this.raw = this.boot();
  }

  /** Works off everything there is, and gives what goes to others. */
  drain(): Message[] {
    while (this.raw.hasReady() || this.appends.length + this.applies.length > 0) {
      this.takeReady();
      while (this.appends.length > 0) this.writeOne();
      while (this.applies.length > 0) this.applyOne();
    }
    return this.outbox.splice(0);
  }

  /** Takes a message to it (at its term unless the message has one) and drains. */
  receive(fields: MessageFields): Message[] {
    this.raw.step(message({ to: this.id, term: this.raw.term, ...fields }));
    return this.drain();
  }

  private boot(): RawNode {
    const { id, storage } = this;
    const applied = storage.applied;
    return new RawNode({ random: () => 0, ...this.options, id, storage, applied });
  }

  /** Forgets all that was not written, and starts again. */
  crash(): void {
    this.appends = [];
    this.applies = [];
    this.outbox = [];
    this.reads = [];
    this.raw = this.boot();
  }

  /** Hands out what there is: writes and applies to the queues, messages to the outbox. */
  takeReady(): void {
    if (!this.raw.hasReady()) return;
    const rd = this.raw.ready();
    this.reads.push(...rd.readStates);
    for (const m of rd.messages) {
      if (m.to === LOCAL_APPEND) this.appends.push(m);
      else if (m.to === LOCAL_APPLY) this.applies.push(m);
      else this.outbox.push(m);
    }
  }

  /** Completes the oldest write and delivers what waited for it. */
  writeOne(): void {
    const m = this.appends.shift();
    if (m === undefined) return;
    if (m.term !== 0) {
      const { term, vote, commit } = m;
      this.storage.setHardState({ term, vote, commit });
    }
    if (m.snapshot !== null) this.install(m.snapshot);
    this.storage.append(m.entries);
    this.answer(m);
  }

  private install(s: Snapshot): void {
    if (!this.storage.applySnapshot(s)) return;
    this.storage.confState = s.confState;
    this.storage.applied = Math.max(this.storage.applied, s.index);
  }

  applyOne(): void {
    const m = this.applies.shift();
    if (m === undefined) return;
    for (const e of m.entries) {
      // A snapshot may have overtaken entries that were handed out before it.
      if (e.index <= this.storage.applied) continue;
      assert(e.index === this.storage.applied + 1, `${this.id} applies ${e.index} out of order`);
      if (e.type !== EntryType.Normal) {
        this.storage.confState = this.raw.applyConfChange(decodeConfChange(e)!);
      }
      this.storage.applied = e.index;
      this.state.set(e.index, e);
    }
    this.answer(m);
  }

  /** Cuts the log below an applied index. */
  compact(index: number): void {
    if (index <= this.storage.firstIndex() || index > this.storage.applied) return;
    this.storage.compact(index);
  }

  log(): readonly Entry[] {
    const first = this.storage.firstIndex();
    const last = this.storage.lastIndex();
    if (last < first) return [];
    const entries = this.storage.entries(first, last + 1, NO_LIMIT);
    return typeof entries === 'string' ? [] : entries;
  }

  private answer(m: Message): void {
    for (const response of m.responses) {
      if (response.to === this.id) this.raw.step(response);
      else this.outbox.push(response);
    }
  }
}

export interface MemberState {
  readonly id?: NodeId;
  readonly voters?: readonly NodeId[];
  readonly learners?: readonly NodeId[];
  /** The terms of its entries, from index 1. */
  readonly log?: readonly number[];
  readonly term?: number;
  readonly vote?: NodeId;
  readonly commit?: number;
  readonly options?: Options;
}

/** One member of three (by default), with a log and a hard state, without pre-vote. */
export function aMember(state: MemberState = {}): Member {
  const { id = 1, log = [], voters: ids = [1, 2, 3], learners = [] } = state;
  const options = { preVote: false, checkQuorum: false, ...state.options };
  return new Member(id, EMPTY_CONF_STATE, options, (storage) => {
    storage.confState = { ...voters(...ids), learners };
    storage.append(entriesOf(log));
    const term = state.term ?? Math.max(0, ...log);
    storage.setHardState({ term, vote: state.vote ?? 0, commit: state.commit ?? 0 });
  });
}

/** Entries with these terms, from an index on. */
export function entriesOf(terms: readonly number[], from = 1): Entry[] {
  return terms.map((term, i) => ({
    term,
    index: from + i,
    type: EntryType.Normal,
    data: Uint8Array.of(term, from + i),
  }));
}

/** Elected by its peers' votes alone; what it sent meanwhile is gone. */
export function aLeader(state: MemberState = {}): Member {
  const m = aMember(state);
  m.raw.campaign();
  m.drain();
  for (const from of state.voters ?? [1, 2, 3]) {
    if (from !== m.id && !m.raw.isLeader) m.receive({ type: MessageType.VoteResp, from });
  }
  assert(m.raw.isLeader, 'the votes of all do not elect');
  return m;
}

export function voters(...ids: NodeId[]): ConfState {
  return { ...EMPTY_CONF_STATE, voters: ids };
}

/** A cluster that works perfectly except where a test interferes. */
export class TestCluster {
  readonly members: Member[];
  /** False: the message is lost. */
  link: (m: Message) => boolean = () => true;

  constructor(start: ConfState, options: Options = {}, count = start.voters.length) {
    this.members = [];
    // Equal timeouts would split every vote.
    const random = seeded(1);
    for (let id = 1; id <= count; id++)
      this.members.push(new Member(id, start, { random, ...options }));
  }

  member(id: NodeId): Member {
    return this.members[id - 1]!;
  }

  raw(id: NodeId): RawNode {
    return this.member(id).raw;
  }

  get leader(): Member | undefined {
    return this.members.find((m) => m.raw.isLeader);
  }

  /** Writes, applies and delivers until nothing is left to do. */
  settle(): void {
    for (let isBusy = true; isBusy; ) {
      isBusy = false;
      for (const m of this.members) {
        m.takeReady();
        if (m.appends.length + m.applies.length > 0) isBusy = true;
        while (m.appends.length > 0) m.writeOne();
        while (m.applies.length > 0) m.applyOne();
      }
      for (const m of this.members) {
        const out = m.outbox;
        m.outbox = [];
        for (const message of out) {
          if (!this.link(message)) continue;
          isBusy = true;
          this.members[message.to - 1]?.raw.step(message);
        }
      }
      if (this.members.some((m) => m.raw.hasReady())) isBusy = true;
    }
  }

  elect(id: NodeId): void {
    this.raw(id).campaign();
    this.settle();
    assert(this.raw(id).isLeader, `${id} was not elected`);
  }

  tick(count: number, ...ids: NodeId[]): void {
    for (let i = 0; i < count; i++) {
      for (const id of ids) this.raw(id).tick();
      this.settle();
    }
  }

  /** Cuts these members off from all others. */
  isolate(...ids: NodeId[]): void {
    this.link = (m) => ids.includes(m.from) === ids.includes(m.to);
  }

  heal(): void {
    this.link = () => true;
  }
}
