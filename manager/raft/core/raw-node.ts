/**
 * One member, seen from outside. The driver feeds it ticks, messages and requests, then takes a
 * Ready and does what it says; nothing here waits, sleeps, writes or sends.
 *
 * The loop in production (async storage writes):
 *   while (node.hasReady()) { for (const m of node.ready().messages) route(m); }
 * - to LOCAL_APPEND: one batch of term/vote/commit (unless term is 0), snapshot, then entries, the
 *   first of which may overwrite; synced if `ready.mustSync` or there is a snapshot, which is
 *   installed with it. Then deliver each of `m.responses`: to this node by `step`, to others over
 *   the wire. Batches and their responses keep their order, so a batch that need not be synced
 *   still waits for those before it.
 * - to LOCAL_APPLY: apply `m.entries` in order (configuration changes by `applyConfChange`), then
 *   deliver each of `m.responses` by `step`.
 * - to others: send at once, in parallel with the write (dissertation 10.2.1).
 * `ready.readStates` and `ready.softState` are to be looked at as well; the rest repeats the
 * messages. Nothing may be lost between the core and the local threads; the wire may lose anything.
 */
import { assert } from '../../../shared/assert.ts';
import { asConfChange, encodeConfChange } from './confchange-codec.ts';
import type { RaftConfigInput } from './config.ts';
import { raftConfig } from './config.ts';
import { hex } from './describe.ts';
import { applyConfChange, restoreConfState } from './membership.ts';
import { isStepable } from './message-check.ts';
import { Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { Proposal } from './proposals.ts';
import { takeProposals } from './proposals.ts';
import { Raft } from './raft.ts';
import { sendAppend } from './replication.ts';
import { step, tick } from './step.ts';
import { toConfState } from './tracker.ts';
import type {
  ConfChange,
  ConfChangeV1,
  ConfState,
  HardState,
  Message,
  MessageFields,
  NodeId,
  ProposeError,
  ProposeResult,
  Ready,
  SoftState,
  StepResult,
} from './types.ts';
import { EntryType, MessageType, message, NONE, StateType } from './types.ts';

export interface Status {
  readonly id: NodeId;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  readonly lastIndex: number;
  readonly config: ConfState;
  /** Only on the leader, sorted by id; live objects, to be read at once and not kept. */
  readonly progress: readonly Progress[];
  readonly leadTransferee: NodeId;
}

/** `refused`: an empty entry was appended instead and nothing will change; `reason` says why. */
export type ProposeConfChangeResult =
  | ProposeResult
  | { readonly ok: false; readonly error: 'refused'; readonly reason: string };

export class RawNode {
  private readonly raft: Raft;
  private readonly outbox: Outbox;
  private malformed = 0;

  constructor(input: RaftConfigInput) {
    const config = raftConfig(input);
    const { hardState, confState } = config.storage.initialState();
    const r = new Raft(config);
    this.raft = r;
    restoreConfState(r, confState);
    // Nothing was ever written: then the log's own boundary is the state.
    if (hardState.term > 0 || hardState.vote !== NONE || hardState.commit > 0) {
      r.loadState(hardState);
    }
    if (config.applied > 0) {
      // Only committed entries are ever applied; the commit index itself is written without sync.
      r.log.commitTo(config.applied);
      r.log.appliedTo(config.applied, 0);
    }
    r.becomeFollower(r.term, NONE);
    const { committed, applied } = r.log;
    r.tracer.info(
      () =>
        `newRaft ${hex(r.id)} [peers: [${r.tracker.membership.incoming.map(hex).join(',')}], ` +
        `term: ${r.term}, commit: ${committed}, applied: ${applied}, ` +
        `lastindex: ${r.log.lastIndex()}, lastterm: ${r.log.lastTerm()}]`,
    );
    this.outbox = new Outbox(r);
  }

  get id(): NodeId {
    return this.raft.id;
  }

  get term(): number {
    return this.raft.term;
  }

  get vote(): NodeId {
    return this.raft.vote;
  }

  /** The leader of this term as far as known; NONE otherwise. */
  get lead(): NodeId {
    return this.raft.lead;
  }

  get state(): StateType {
    return this.raft.state;
  }

  get isLeader(): boolean {
    return this.raft.state === StateType.Leader;
  }

  /** Whether the applied membership has it as learner. */
  get isLearner(): boolean {
    return this.raft.isLearner;
  }

  /** Highest index known to be committed. */
  get committed(): number {
    return this.raft.log.committed;
  }

  get applied(): number {
    return this.raft.log.applied;
  }

  get firstIndex(): number {
    return this.raft.log.firstIndex();
  }

  get lastIndex(): number {
    return this.raft.log.lastIndex();
  }

  get lastTerm(): number {
    return this.raft.log.lastTerm();
  }

  /** Whom leadership is being handed to; NONE when nobody. */
  get leadTransferee(): NodeId {
    return this.raft.leadTransferee;
  }

  /** Whether the entry at the commit index is of this term: reads and changes wait for it. */
  get hasCommittedInTerm(): boolean {
    return this.raft.hasCommittedInTerm();
  }

  /** Whether a configuration change may be in the log and not yet applied (leader only). */
  get hasPendingConfChange(): boolean {
    return this.raft.pendingConfIndex > this.raft.log.applied;
  }

  /** Whether a snapshot waits for entries that are being applied; it is taken or refused then. */
  get holdsSnapshot(): boolean {
    return this.raft.heldSnapshot !== null;
  }

  /** Payload bytes of own proposals that are not yet applied. */
  get uncommittedSize(): number {
    return this.raft.uncommittedSize;
  }

  /** Ticks since a leader was heard (follower) or since the quorum was checked (leader). */
  get electionElapsed(): number {
    return this.raft.electionElapsed;
  }

  /** Messages dropped because they were malformed, of an unknown kind, or not for the wire. */
  get malformedCount(): number {
    return this.malformed;
  }

  /** One tick of the driver's clock has passed. */
  tick(): void {
    tick(this.raft);
  }

  /** A message arrived from a member or from a local thread. Never throws for what is in it. */
  step(m: Message): StepResult {
    const verdict = isStepable(m, this.raft);
    if (verdict !== 'ok') {
      if (verdict !== 'peer-not-found') this.malformed++;
      return verdict;
    }
    return step(this.raft, m);
  }

  /** Appends `data` if this is the leader of exactly `term`: a draft belongs to a term. */
  propose(data: Uint8Array, term: number): ProposeResult {
    return this.proposeNormal([{ type: EntryType.Normal, data }], term);
  }

  /** Several entries at once, sent in common messages; `index` is that of the last. */
  proposeBatch(datas: readonly Uint8Array[], term: number): ProposeResult {
    return this.proposeNormal(
      datas.map((data) => ({ type: EntryType.Normal, data })),
      term,
    );
  }

  /** As `propose`. A change that is not allowed now is refused, and says why. */
  proposeConfChange(change: ConfChange | ConfChangeV1, term: number): ProposeConfChangeResult {
    return this.proposeEntries([encodeConfChange(change)], term);
  }

  /** Appends here or sends to the leader, unless forwarding is off. For scripts and tests. */
  proposeForward(data: Uint8Array): 'ok' | ProposeError {
    return this.forward({ type: EntryType.Normal, data });
  }

  /** As `proposeForward`; a refusal is known only to the leader, which appends nothing instead. */
  proposeConfChangeForward(change: ConfChange | ConfChangeV1): 'ok' | ProposeError {
    return this.forward(encodeConfChange(change));
  }

  /** To be called for each committed configuration change when it is applied, in log order. */
  applyConfChange(change: ConfChange | ConfChangeV1): ConfState {
    return applyConfChange(this.raft, asConfChange(change));
  }

  /** Begins an election (with a pre-vote where that is set), as an elapsed timeout would. */
  campaign(): void {
    this.local({ type: MessageType.Hup });
  }

  /** Asks for a ReadState with this context. False: dropped for sure, nobody leads. */
  readIndex(context: Uint8Array): boolean {
    return this.local({ type: MessageType.ReadIndex, context }) === 'ok';
  }

  /** Hands over to this voter; `leadTransferee` says whether it is under way. */
  transferLeader(to: NodeId): void {
    this.local({ type: MessageType.TransferLeader, from: to });
  }

  /** A follower forgets its leader, so that it may vote at once. */
  forgetLeader(): void {
    this.local({ type: MessageType.ForgetLeader });
  }

  /** A leader that cannot do its work (a stalled disk) makes room; others elect after a timeout. */
  stepDown(): void {
    const r = this.raft;
    if (r.state !== StateType.Leader) return;
    r.tracer.warn(() => `${hex(r.id)} stepped down to follower since it was asked to`);
    r.becomeFollower(r.term, NONE);
  }

  /** The last message to this member could not be sent. */
  reportUnreachable(id: NodeId): void {
    this.local({ type: MessageType.Unreachable, from: id });
  }

  /** What became of a snapshot sent to this member. */
  reportSnapshot(id: NodeId, ok: boolean): void {
    this.local({ type: MessageType.SnapStatus, from: id, reject: !ok });
  }

  /** Entries or a snapshot that storage answered `pending` for can be read now. */
  retryAppends(): void {
    const r = this.raft;
    if (r.state !== StateType.Leader) return;
    for (const p of r.tracker.peers) if (p.id !== r.id) sendAppend(r, p, false);
  }

  hasReady(): boolean {
    return this.outbox.hasReady();
  }

  ready(): Ready {
    return this.outbox.take();
  }

  /** Sync mode only: what the last Ready said has been done. */
  advance(): void {
    assert(!this.raft.config.asyncStorageWrites, 'advance is for synchronous storage');
    for (const m of this.outbox.takeOwnAnswers()) step(this.raft, m);
  }

  status(): Status {
    const r = this.raft;
    return {
      id: r.id,
      hardState: r.hardState(),
      softState: r.softState(),
      applied: r.log.applied,
      lastIndex: r.log.lastIndex(),
      config: this.confState(),
      progress: this.isLeader ? r.tracker.peers : [],
      leadTransferee: r.leadTransferee,
    };
  }

  /** The membership as applied. */
  confState(): ConfState {
    return toConfState(this.raft.tracker.membership);
  }

  /** Undefined when not a member. Live: read at once, do not keep. */
  progress(id: NodeId): Progress | undefined {
    return this.raft.tracker.get(id);
  }

  /** Makes the next election timeout certain. Only for scripts. */
  setRandomizedElectionTimeout(ticks: number): void {
    this.raft.randomizedElectionTimeout = ticks;
  }

  private proposeNormal(proposals: readonly Proposal[], term: number): ProposeResult {
    const result = this.proposeEntries(proposals, term);
    if (result.ok || result.error !== 'refused') return result;
    assert(false, 'only configuration changes are refused');
  }

  private proposeEntries(proposals: readonly Proposal[], term: number): ProposeConfChangeResult {
    const r = this.raft;
    if (r.state !== StateType.Leader) return { ok: false, error: 'not-leader' };
    if (r.term !== term) return { ok: false, error: 'wrong-term' };
    const taken = takeProposals(r, proposals);
    if (taken === null) return { ok: false, error: 'dropped' };
    if (taken.refused !== '') return { ok: false, error: 'refused', reason: taken.refused };
    return { ok: true, index: taken.index, term };
  }

  private forward(proposal: Proposal): 'ok' | ProposeError {
    const entries = [{ ...proposal, term: 0, index: 0 }];
    const result = this.local({ type: MessageType.Prop, entries });
    return result === 'ok' ? 'ok' : 'dropped';
  }

  private local(fields: MessageFields): StepResult {
    return step(this.raft, message({ from: this.raft.id, ...fields }));
  }
}
