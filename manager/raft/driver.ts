import type { RaftStatus } from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Database } from '../database/index.ts';
import type {
  LeadershipListener,
  ProposeResult,
  Proposer,
  RowChange,
  RowSlices,
  StateMachine,
} from '../replication.ts';
import { bestSuccessor, ConsensusLoop, isFromLeader, isLeaderTraffic } from './consensus-loop.ts';
import {
  type ConfState,
  type Entry,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
} from './core/index.ts';
import type { RaftDeps, RaftOptions } from './deps.ts';
import { DiskWatch } from './disk-watch.ts';
import { fatalError } from './fatal-error.ts';
import { LeaderWatch } from './leader-watch.ts';
import { Leadership } from './leadership.ts';
import { LogRetention } from './log-retention.ts';
import type { MemberChange } from './member-change.ts';
import {
  askToGo,
  changeMembers,
  hearsLeader,
  type MemberProgress,
  memberProgress,
} from './membership.ts';
import { PauseProof } from './pause-proof.ts';
import { Proposals } from './proposals.ts';
import { Reads } from './reads.ts';
import type { SnapshotReceiver } from './snapshot/receiver.ts';
import { Snapshots } from './snapshots.ts';
import { raftStatus } from './status.ts';
import { LogStore } from './storage/log-store.ts';
import { LogWriter } from './storage/log-writer.ts';
import type { Identity, PeerRecord } from './storage/meta.ts';
import { type OpenedLog, readStretch } from './storage/open-log.ts';
import { rowSlices } from './storage/row-record.ts';
import { Scrub } from './storage/scrub.ts';
import { Succession } from './succession.ts';
import { Ticker } from './ticker.ts';
import { type Timing, timing } from './timing.ts';
import { TraceRing } from './trace-ring.ts';
import { HeartbeatAnswers } from './transport/heartbeat-answers.ts';
import { PeerActivity } from './transport/peer-activity.ts';
import { PeerDirectory } from './transport/peers.ts';
import { Transport } from './transport/transport.ts';

/** A linearizable read that finds no quorum for so many election timeouts gives up. */
const READ_ELECTIONS = 4;

/**
 * One member of the raft group: the core, driven by a clock, a disk and a network. Made by
 * `openRaft`; `start` loads the state, `stop` hands over and writes what is staged.
 */
export class RaftDriver implements Proposer {
  readonly identity: Identity;
  readonly directory: PeerDirectory;
  readonly transport: Transport;
  readonly #options: RaftOptions;
  readonly #deps: RaftDeps;
  readonly #db: Database;
  readonly #store: LogStore;
  readonly #writer: LogWriter;
  readonly #snapshots: Snapshots;
  readonly #ticker: Ticker;
  readonly #reads: Reads;
  readonly #succession: Succession;
  readonly #proposals = new Proposals();
  readonly #leadership = new Leadership();
  readonly #trace = new TraceRing();
  readonly #retention = new LogRetention();
  readonly #disk = new DiskWatch();
  readonly #proof = new PauseProof();
  readonly #scrub: Scrub;
  readonly #activity: PeerActivity;
  readonly #answers: HeartbeatAnswers;
  readonly #leaders: LeaderWatch;
  #timing: Timing;
  #loop: ConsensusLoop | undefined;
  #stateMachine: StateMachine | undefined;
  #housekeptMs = 0;
  #isRemoved = false;
  #stopped = false;

  constructor(options: RaftOptions, deps: RaftDeps, db: Database, opened: OpenedLog) {
    this.#options = options;
    this.#deps = deps;
    this.#db = db;
    this.identity = opened.identity;
    this.#timing = timing(options.electionTimeoutMs);
    this.#leaders = new LeaderWatch(deps.clock);
    this.#activity = new PeerActivity(deps.clock, () => this.#timing.electionTimeoutMs);
    this.#answers = new HeartbeatAnswers(deps.clock, () => this.#timing.tickMs);
    this.#store = new LogStore(opened, () => this.#takeSnapshot(), {
      read: (from, bytes) => readStretch(db, from, bytes),
      arrived: () => this.#loop?.run((node) => node.retryAppends()),
      failed: (error) => this.#fatal(error),
    });
    this.#writer = this.#makeWriter(opened);
    this.directory = new PeerDirectory(opened.peers, () => {
      this.#writer.stagePeers(this.directory.records());
    });
    this.#ticker = new Ticker(
      deps.clock,
      deps.random.stream(`ticks ${opened.identity.raftId}`),
      this.#timing,
      {
        tick: () => this.#tick(),
        paused: (lateMs) => this.#paused(lateMs),
      },
    );
    const { identity, directory } = this;
    const { log, dial } = deps;
    const owner = this.#transportOwner();
    this.transport = new Transport(options.address, identity, directory, owner, deps);
    this.#snapshots = new Snapshots({
      identity,
      directory,
      db,
      clock: deps.clock,
      log,
      dial,
      loop: () => this.#loop,
      generation: () => this.#store.applied.generation,
      note: (row) => this.#noteRow(row),
      load: (snapshot, rows) => this.#loadSnapshot(snapshot, rows),
    });
    this.#scrub = new Scrub({
      clock: deps.clock,
      db,
      log,
      generation: () => this.#store.applied.generation,
      row: (table, id) => this.#rowInMemory(table, id),
      rewrite: (row) => this.#writer.restage(row),
      isAlone: () => this.confState().voters.every((id) => id === identity.raftId),
      failed: (error) => this.#fatal(error),
    });
    this.#succession = new Succession({
      clock: deps.clock,
      random: deps.random,
      raftId: identity.raftId,
      loop: () => (this.#stopped ? undefined : this.#loop),
      mayStand: () => !this.#disk.isStalled,
      slotMs: () => this.#timing.refusedCampaignMs,
    });
    this.#reads = new Reads({
      clock: deps.clock,
      random: deps.random,
      raftId: identity.raftId,
      request: (context) => this.#requestRead(context),
      appliedIndex: () => this.#loop?.applier.index ?? 0,
    });
  }

  /** Loads the rows on disk into the state machine, then takes part. */
  async start(stateMachine: StateMachine, loaded?: () => Promise<void>): Promise<void> {
    const { index, term, generation } = this.#store.applied;
    this.#stateMachine = stateMachine;
    const rows = rowSlices(this.#db, generation, (row) => this.#noteRow(row));
    await stateMachine.load(index, term, rows);
    // Every row has been read: the check of the opened database is complete.
    await this.#db.passed();
    await loaded?.();
    if (this.#stopped) return;
    const { raftId } = this.identity;
    const loop = new ConsensusLoop({
      clock: this.#deps.clock,
      random: this.#deps.random,
      raftId,
      store: this.#store,
      writer: this.#writer,
      directory: this.directory,
      stateMachine,
      trace: this.#trace,
      send: (message) => this.#send(message),
      applied: (entry) => this.#applied(entry),
      readState: (state) => this.#reads.answered(state),
      stateChanged: () => this.#noteState(),
      settled: () => this.#snapshots.settled(),
      removed: (id) => this.#noteRemoved(id),
      fatal: (error) => this.#fatal(error),
    });
    this.#loop = loop;
    this.#ticker.start();
    const { voters } = loop.node.confState();
    // Nobody else could object: waiting for an election timeout would only cost time.
    if (voters.length === 1 && voters[0] === raftId) loop.run((node) => node.campaign());
  }

  // -- what others do with it

  async propose(bytes: Uint8Array, term: number): Promise<ProposeResult> {
    if (this.#leadership.term !== term) return this.#notLeader();
    if (this.#db.readOnly) return { kind: 'dropped', reason: 'read-only' };
    if (this.#proof.pending) {
      await this.#proof.pending;
      if (this.#leadership.term !== term) return this.#notLeader();
    }
    const { node } = this.#running();
    const taken = node.propose(bytes, term);
    if (taken.ok) {
      this.#loop?.soon();
      return this.#proposals.add(taken.index, term);
    }
    const isHandingOver = node.leadTransferee !== NONE;
    if (taken.error === 'dropped' && !isHandingOver)
      return { kind: 'dropped', reason: 'overloaded' };
    return { kind: 'dropped', reason: taken.error === 'wrong-term' ? 'wrong-term' : 'not-leader' };
  }

  /**
   * Resolves with an index at or above everything that was acknowledged before the call; it is
   * applied here. Rejects with NO_QUORUM when nobody confirms it in time.
   */
  readIndex(timeoutMs = READ_ELECTIONS * this.#timing.electionTimeoutMs): Promise<number> {
    return this.#reads.read(timeoutMs);
  }

  /** Resolves when another voter leads; rejects with NO_QUORUM after an election timeout. */
  async transferLeadership(to?: number): Promise<void> {
    const { node } = this.#running();
    if (!node.isLeader) throw this.#notLeaderError();
    const target = to ?? bestSuccessor(node, this.#activity);
    if (target === NONE) throw new SwarmError('PRECONDITION', 'no other manager is up to date');
    const { electionTimeoutMs } = this.#timing;
    const done = this.#leaders.another(this.identity.raftId, electionTimeoutMs);
    this.#loop?.run(() => node.transferLeader(target));
    if (!(await done))
      throw new SwarmError('NO_QUORUM', 'the other manager did not take over in time');
  }

  /**
   * One change of the members, done when it resolves. `expected`: the members that the caller
   * decided upon; when they are others now, it rejects with VERSION_CONFLICT. Leader only.
   */
  async proposeConfChange(change: MemberChange, expected?: ConfState): Promise<void> {
    const { node } = this.#running();
    const term = this.#leadership.term;
    if (term === 0) throw this.#notLeaderError();
    await changeMembers(node, this.#proposals, term, change, expected, () => this.#loop?.soon());
  }

  /** The members as applied here. */
  confState(): ConfState {
    return this.#loop?.node.confState() ?? this.#store.applied.confState;
  }

  /** How far a member's log is; undefined where it is not known: this member does not lead. */
  progress(raftId: number): MemberProgress | undefined {
    return this.#loop && memberProgress(this.#loop.node, this.#activity, raftId);
  }

  status(): RaftStatus {
    return raftStatus({
      node: this.#loop?.node,
      store: this.#store,
      directory: this.directory,
      identity: this.identity,
      activity: this.#activity,
      database: this.#db,
      terms: this.#leaders.history,
    });
  }

  /** Who leads as far as is known here. */
  leader(): PeerRecord | undefined {
    const lead = this.#loop?.node.lead ?? NONE;
    if (lead === NONE) return undefined;
    const { raftId, nodeId } = this.identity;
    if (lead === raftId) return { raftId, nodeId, address: this.#options.address };
    return this.directory.get(lead) ?? { raftId: lead, nodeId: '', address: '' };
  }
  /** It leads, or was spoken to by the leader within an election timeout. */
  get hasLeader(): boolean {
    return this.#loop !== undefined && hearsLeader(this.#loop.node, this.#activity);
  }
  get isLeader(): boolean {
    return this.#leadership.term !== 0;
  }
  /** The term in which leader-scoped parts act here; 0 when they do not. */
  get leaderTerm(): number {
    return this.#leadership.term;
  }
  /** False after a pause, until a quorum has confirmed that this member still leads. */
  get isProven(): boolean {
    return this.#proof.pending === undefined;
  }
  get appliedIndex(): number {
    return this.#loop?.applier.index ?? this.#store.applied.index;
  }
  /** Takes the states that other members send. */
  get receiver(): SnapshotReceiver {
    return this.#snapshots.receiver;
  }
  get timing(): Timing {
    return this.#timing;
  }

  onLeadership(listener: LeadershipListener): () => void {
    return this.#leadership.add(listener);
  }
  /** Called when another leads, or nobody. */
  onLeaderChange(fn: () => void): () => void {
    return this.#leaders.onChange(fn);
  }
  setElectionTimeout(electionTimeoutMs: number): void {
    this.#timing = timing(electionTimeoutMs);
    this.#ticker.setTiming(this.#timing);
  }

  /**
   * Hands leadership over (at most one election timeout, unless `handOver` is false), then ends.
   * What is staged is written. The database stays open: it belongs to who opened it.
   */
  async stop(options: { readonly handOver?: boolean } = {}): Promise<void> {
    if (this.#stopped) return;
    const node = this.#loop?.node;
    if (
      options.handOver !== false &&
      node?.isLeader &&
      bestSuccessor(node, this.#activity) !== NONE
    ) {
      await this.transferLeadership().catch(() => undefined);
    }
    this.#end(new SwarmError('UNREACHABLE', 'this manager is stopping'));
    await this.#writer.drain();
  }

  // -- the parts report

  /** A write of any part to the database failed. */
  poisoned(error: SwarmError): void {
    this.#fatal(error);
  }

  #tick(): void {
    if (this.#stopped) return;
    this.#watchDisk();
    const loop = this.#running();
    const isHung = this.#disk.isStalled && !loop.node.isLeader;
    // A member that cannot write must not stand for election.
    if (!isHung) loop.run((node) => node.tick());
    this.#housekeep(loop);
  }

  /** A member that hears its leader has no ticks: what is due about once a tick is done here. */
  #leaderHeard(): void {
    if (this.#stopped) return;
    this.#ticker.heardLeader();
    if (this.#deps.clock.monotonicMs() - this.#housekeptMs < this.#timing.tickMs / 2) return;
    this.#watchDisk();
    this.#housekeep(this.#running());
  }

  #housekeep(loop: ConsensusLoop): void {
    this.#housekeptMs = this.#deps.clock.monotonicMs();
    this.#reads.tick(this.#timing.electionTimeoutMs / 2);
    this.#writer.flushWhenIdle();
    this.#compact(loop);
    askToGo(loop.node, this.transport);
    void this.#scrub.tick();
  }

  /** The process stood still: somebody else may lead by now. */
  #paused(lateMs: number): void {
    this.#deps.log.warn({ lateMs: Math.round(lateMs) }, 'this process stood still');
    if (this.#leadership.term === 0) return;
    const read = () => this.#reads.read(this.#timing.electionTimeoutMs * 2);
    this.#proof.begin(read, () => this.#loop?.run((node) => node.stepDown()));
  }

  #watchDisk(): void {
    const { node } = this.#running();
    const hasOthers = node.confState().voters.length > 1;
    const outstandingMs = this.#writer.outstandingMs();
    const verdict = this.#disk.judge(outstandingMs, this.#timing, hasOthers, node.isLeader);
    if (verdict === 'fine') this.#takeUpLead();
    else if (verdict === 'make-room') this.#makeRoom();
    else if (verdict === 'step-down') this.#loop?.run(() => node.stepDown());
    else this.#fatal(new SwarmError('STATE_DIR', 'a write to the state directory does not end'));
    if (verdict === 'fine') return;
    // Last: the log may lie on the disk that hangs.
    this.#deps.log.warn({ outstandingMs: Math.round(outstandingMs) }, 'the disk does not answer');
  }

  /** First the quick way; at the next tick the leader steps down whatever became of it. */
  #makeRoom(): void {
    this.#loseLeadership();
    const { node } = this.#running();
    const target = bestSuccessor(node, this.#activity);
    if (target !== NONE) this.#loop?.run(() => node.transferLeader(target));
  }

  /** The disk answers, and nobody took over. A term is not announced twice: another must begin. */
  #takeUpLead(): void {
    const { node } = this.#running();
    if (!node.isLeader || node.leadTransferee !== NONE) return;
    const due = this.#leadership.due(node.term);
    if (due === 'leave') this.#loop?.run(() => node.stepDown());
    if (due === 'announce') this.#loop?.run(() => this.#gainLeadership(node.term));
  }

  #send(message: Message): void {
    if (this.#disk.isStalled && isLeaderTraffic(message)) return;
    if (message.type === MessageType.HeartbeatResp && !this.#answers.goes(message)) return;
    if (message.type !== MessageType.Snap) {
      this.transport.send(message);
      return;
    }
    if (message.snapshot) this.#retention.snapshotSent(message.to, message.snapshot.index);
    this.#snapshots.sender.send(message);
  }

  #applied(entry: Entry): void {
    const { node } = this.#running();
    const isOwn = node.isLeader && entry.term === node.term;
    const isDue = isOwn && this.#leadership.ready(node.term) === 'announce';
    if (isDue && !this.#disk.isStalled) this.#gainLeadership(node.term);
    this.#proposals.applied(entry.index, entry.term);
    this.#reads.applied();
  }

  #noteState(): void {
    const { node } = this.#running();
    if (this.#leadership.term !== 0 && (!node.isLeader || node.term !== this.#leadership.term)) {
      this.#loseLeadership();
    }
    if (!this.#leaders.look(node)) return;
    this.#ticker.start();
    if (!node.isLeader) this.#retention.clear();
    this.#deps.log.info({ term: node.term, leader: node.lead }, 'leader');
    this.#leaders.announce();
    if (node.lead !== NONE) queueMicrotask(() => this.#stopped || this.#reads.askAgain());
  }

  #gainLeadership(term: number): void {
    this.#deps.log.info({ term }, 'this manager leads');
    this.#leadership.gained(term);
  }
  #loseLeadership(): void {
    // Answers first: listeners that retry must find the old attempts settled.
    this.#proposals.leadershipLost();
    if (this.#leadership.lost()) this.#deps.log.info({}, 'this manager leads no more');
  }

  #noteRemoved(raftId: number): void {
    this.directory.remove(raftId);
    this.#retention.forget(raftId);
    this.#activity.forget(raftId);
    this.transport.forget(raftId);
  }

  #wasRemoved(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    queueMicrotask(() => this.#deps.onRemoved());
  }

  #transportOwner() {
    return {
      received: (messages: readonly Message[]) => {
        for (const { from } of messages) this.#activity.heard(from);
        // Before the start there is nobody to read them; raft repeats what matters.
        this.#loop?.deliver(messages);
        if (this.#loop && isFromLeader(this.#loop.node, messages)) this.#leaderHeard();
      },
      unreachable: (raftId: number) => {
        queueMicrotask(() => this.#loop?.run((node) => node.reportUnreachable(raftId)));
      },
      refused: (raftId: number) => this.#succession.refused(raftId),
      removed: () => this.#wasRemoved(),
    };
  }

  // -- snapshots and compaction

  #takeSnapshot(): Snapshot | 'pending' {
    const configIndex = this.#loop?.applier.configIndex ?? 0;
    return this.#snapshots.source.take(Math.max(configIndex, this.#store.boundary.index));
  }

  #makeWriter(opened: OpenedLog): LogWriter {
    return new LogWriter({
      clock: this.#deps.clock,
      db: this.#db,
      votes: opened.votes,
      store: this.#store,
      hardState: opened.hardState,
      afterSends: (work) => this.#afterSends(work),
      deliver: (responses) => this.#loop?.deliver(responses),
      snapshotTaken: () => this.#snapshots.installer.taken(),
      generationOf: (snapshot) => this.#snapshots.installer.generationOf(snapshot),
      installed: (snapshot) => this.#snapshots.installer.written(snapshot),
      failed: (error) => this.#fatal(error),
    });
  }

  /** Others wait for what a leader sends; for a follower's own write its leader waits. */
  #afterSends(work: () => void): void {
    const sends = this.#loop?.node.isLeader === true && this.confState().voters.length > 1;
    if (sends && this.#deps.afterSends) this.#deps.afterSends(work);
    else process.nextTick(work);
  }

  async #loadSnapshot(snapshot: Snapshot, rows: RowSlices): Promise<void> {
    const { index, term, confState } = snapshot;
    this.#deps.log.info({ index }, 'a snapshot of the state was received');
    await this.#stateMachine?.load(index, term, rows);
    this.#loop?.applier.reset(index, confState);
    this.#reads.applied();
  }

  /** Undefined as well while the rows on disk are a snapshot's, and the tables not yet. */
  #rowInMemory(table: string, id: string): RowChange | undefined {
    if (this.appliedIndex < this.#store.applied.index) return undefined;
    return this.#stateMachine?.stored(table, id);
  }

  /** Members are known before the tables are complete. */
  #noteRow(row: RowChange): void {
    if (row.table === 'member' || row.table === 'removedMember') this.directory.noteRow(row);
  }

  #compact(loop: ConsensusLoop): void {
    if (this.#writer.isCompacting) return;
    const target = this.#retention.target(loop.node, this.#store, this.#activity);
    if (target !== undefined) this.#writer.compact(target);
  }

  // -- small things

  #requestRead(context: Uint8Array): boolean {
    const loop = this.#loop;
    if (!loop || this.#stopped) return false;
    const isAsked = loop.node.readIndex(context);
    loop.soon();
    return isAsked;
  }

  #running(): ConsensusLoop {
    if (this.#loop) return this.#loop;
    throw new SwarmError('NOT_LEADER', 'this manager is still loading its state');
  }

  #notLeader(): ProposeResult {
    return { kind: 'dropped', reason: this.#leadership.term === 0 ? 'not-leader' : 'wrong-term' };
  }
  #notLeaderError(): SwarmError {
    const details = { leader: this.leader()?.address ?? '' };
    return new SwarmError('NOT_LEADER', 'this manager does not lead', { details });
  }

  #fatal(error: unknown): void {
    if (this.#stopped) return;
    const lines = this.#trace.lines();
    this.#deps.log.error({ reason: messageOf(error), trace: lines }, 'the raft part must stop');
    const wrapped = fatalError(error);
    this.#end(wrapped);
    this.#deps.onFatal(wrapped);
  }

  #end(error: SwarmError): void {
    this.#stopped = true;
    this.#ticker.stop();
    this.#loop?.stop();
    this.transport.stop();
    this.#snapshots.stop();
    this.#loseLeadership();
    this.#reads.close(error);
  }
}
