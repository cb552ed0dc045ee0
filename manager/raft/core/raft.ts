/**
 * The state of one member and the moves that every role shares. The rest of the protocol is in
 * functions over this state: `step.ts` is the entrance, one file per role and per idea behind it.
 */
import { assert, assertSafeInteger } from '../../../shared/assert.ts';
import type { RaftConfig } from './config.ts';
import { hex, stateName } from './describe.ts';
import { payloadsSize } from './entry-size.ts';
import { Log } from './log.ts';
import { ReadOnly } from './read-only.ts';
import { Tracer } from './trace.ts';
import { Tracker } from './tracker.ts';
import type {
  Entry,
  HardState,
  Message,
  MessageDraft,
  NodeId,
  ReadState,
  SoftState,
} from './types.ts';
import { blankMessage, MessageType, NONE, StateType } from './types.ts';

export class Raft {
  readonly id: NodeId;
  readonly config: RaftConfig;
  readonly tracer: Tracer;
  readonly log: Log;
  readonly tracker: Tracker;
  readonly readOnly = new ReadOnly();

  /** Invariant: never falls. */
  term = 0;
  /** Whom this member voted for in `term`. Invariant: once set, changes only with the term. */
  vote: NodeId = NONE;
  state: StateType = StateType.Follower;
  /** The leader of `term` as far as known. */
  lead: NodeId = NONE;
  isLearner = false;

  /** To be sent at once. */
  msgs: Message[] = [];
  /** Promises about durable state: to be sent, also to itself, after the write (figure 3.1). */
  msgsAfterAppend: Message[] = [];
  readStates: ReadState[] = [];
  /** Read requests that wait for the first commit of this term. */
  earlyReads: Message[] = [];

  /** A snapshot that waits for entries being applied; see `receiveSnapshot`. */
  heldSnapshot: Message | null = null;

  /** Who is to become leader; proposals are refused meanwhile (dissertation section 3.10). */
  leadTransferee: NodeId = NONE;
  /** No configuration change is in the log above it. Invariant: only one unapplied at a time. */
  pendingConfIndex = 0;
  /** Payload bytes of own entries not yet applied. */
  uncommittedSize = 0;

  /** Ticks since the last sign of a leader (follower) or quorum check (leader). */
  electionElapsed = 0;
  /** Ticks since the last heartbeat; leader only. */
  heartbeatElapsed = 0;
  /** In [electionTicks, 2 * electionTicks); drawn anew with every term and role. */
  randomizedElectionTimeout = 0;

  constructor(config: RaftConfig) {
    this.id = config.id;
    this.config = config;
    this.tracer = new Tracer(config.trace);
    this.log = new Log(config.storage, this.tracer, config.maxCommittedSizePerReady);
    this.tracker = new Tracker(config.maxInflightMsgs, config.maxInflightBytes);
  }

  /** Takes up what was durable at the last stop. */
  loadState(hard: HardState): void {
    // The commit index is written without sync and may lag behind what is applied and compacted.
    this.log.commitTo(hard.commit);
    this.term = hard.term;
    this.vote = hard.vote;
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  softState(): SoftState {
    return { lead: this.lead, state: this.state };
  }

  /** Queues a message of this term; the caller fills in the rest at once. */
  send(type: MessageType, to: NodeId): MessageDraft {
    const m = blankMessage(type);
    m.from = this.id;
    m.to = to;
    // Requests that are passed on to the leader belong to no term: the leader's counts.
    if (type !== MessageType.Prop && type !== MessageType.ReadIndex) m.term = this.term;
    if (
      type === MessageType.AppResp ||
      type === MessageType.VoteResp ||
      type === MessageType.PreVoteResp
    ) {
      // They tell of a vote, a term or entries: none may be seen before it is durable.
      this.msgsAfterAppend.push(m);
      return m;
    }
    assert(to !== this.id, 'only promises are sent to itself');
    this.msgs.push(m);
    return m;
  }

  /** Forgets everything that belongs to a role. */
  private reset(term: number): void {
    assert(term >= this.term, `the term would fall from ${this.term} to ${term}`);
    if (term !== this.term) {
      assertSafeInteger(term, 'term');
      this.term = term;
      this.vote = NONE;
    }
    this.lead = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.leadTransferee = NONE;
    this.tracker.resetVotes();
    const last = this.log.lastIndex();
    for (const p of this.tracker.peers) p.restart(p.id === this.id ? last : 0, last + 1);
    this.pendingConfIndex = 0;
    this.uncommittedSize = 0;
    this.earlyReads = [];
    this.readOnly.reset();
  }

  private drawElectionTimeout(): void {
    const { electionTicks, random } = this.config;
    const extra = random(electionTicks);
    assert(
      Number.isInteger(extra) && extra >= 0 && extra < electionTicks,
      'random(n) is in [0, n)',
    );
    this.randomizedElectionTimeout = electionTicks + extra;
  }

  becomeFollower(term: number, lead: NodeId): void {
    this.reset(term);
    this.lead = lead;
    this.state = StateType.Follower;
    this.tracer.info(() => `${hex(this.id)} became follower at term ${term}`);
  }

  becomeCandidate(): void {
    assert(this.state !== StateType.Leader, 'a leader does not campaign');
    this.reset(this.term + 1);
    this.vote = this.id;
    this.state = StateType.Candidate;
    this.tracer.info(() => `${hex(this.id)} became candidate at term ${this.term}`);
  }

  /** Changes neither term nor vote: a pre-vote is a question (dissertation section 9.6). */
  becomePreCandidate(): void {
    assert(this.state !== StateType.Leader, 'a leader does not campaign');
    this.tracker.resetVotes();
    this.lead = NONE;
    this.state = StateType.PreCandidate;
    this.tracer.info(() => `${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  /** Only its role; the first entry of the term is the caller's to append. */
  becomeLeader(): void {
    assert(this.state === StateType.Candidate, `a ${stateName(this.state)} cannot begin to lead`);
    this.reset(this.term);
    this.lead = this.id;
    this.state = StateType.Leader;
    const self = this.tracker.get(this.id);
    assert(self !== undefined, 'a leader begins as a member');
    self.becomeReplicate();
    self.recentActive = true;
    // Any entry in the log may be a configuration change: none new until all are applied.
    this.pendingConfIndex = this.log.lastIndex();
  }

  /** Whether it may campaign at all. */
  promotable(): boolean {
    const self = this.tracker.get(this.id);
    return self !== undefined && !self.isLearner && this.log.unstable.snapshot === null;
  }

  /** Until then the commit index may be behind what an earlier leader has answered (6.4). */
  hasCommittedInTerm(): boolean {
    return this.log.termOrZero(this.log.committed) === this.term;
  }

  /** Takes entries into the leader's own log; null, and nothing done, when the tail is too big. */
  appendOwn(proposed: readonly Pick<Entry, 'type' | 'data'>[]): readonly Entry[] | null {
    assert(this.state === StateType.Leader, 'only a leader appends of its own');
    if (!this.reserve(payloadsSize(proposed))) return null;
    let index = this.log.lastIndex();
    const entries: Entry[] = [];
    for (const { type, data } of proposed) {
      index++;
      entries.push({ term: this.term, index, type, data });
    }
    this.log.append(entries);
    // It counts itself only when its own write is durable, as it does any other (10.2.1).
    this.send(MessageType.AppResp, this.id).index = index;
    return entries;
  }

  /** An empty entry always fits: the first of a term, and leaving a joint state, must not fail. */
  private reserve(bytes: number): boolean {
    const { maxUncommittedSize } = this.config;
    const total = this.uncommittedSize + bytes;
    if (this.uncommittedSize > 0 && bytes > 0 && total > maxUncommittedSize) return false;
    this.uncommittedSize = total;
    return true;
  }

  release(bytes: number): void {
    // Entries of an earlier term or leader were never counted here.
    this.uncommittedSize = Math.max(0, this.uncommittedSize - bytes);
  }
}
