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
import { ConsensusLoop, isFromLeader } from './consensus-loop.ts';
import {
  type ConfState,
  type Entry,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
} from './core/index.ts';
import type { RaftDeps, RaftOptions } from './deps.ts';
import { fatalError } from './fatal-error.ts';
import { LeaderWatch } from './leader-watch.ts';
import { LogRetention } from './log-retention.ts';
import type { MemberChange } from './member-change.ts';
import { askToGo, hearsLeader, type MemberProgress, memberProgress } from './membership.ts';
import { Reads } from './reads.ts';
import { Reign } from './reign.ts';
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
  readonly #reign: Reign;
  readonly #trace = new TraceRing();
  readonly #retention = new LogRetention();
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
    const { clock, random } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#db = db;
    this.identity = opened.identity;
    this.#timing = timing(options.electionTimeoutMs);
    this.#leaders = new LeaderWatch(clock, (id) => this.directory.get(id)?.nodeId ?? '');
    this.#activity = new PeerActivity(clock, () => this.#timing.electionTimeoutMs);
    this.#answers = new HeartbeatAnswers(clock, () => this.#timing.tickMs);
    this.#store = new LogStore(opened, () => this.#takeSnapshot(), {
      read: (from, bytes) => readStretch(db, from, bytes),
      arrived: () => this.#loop?.run((node) => node.retryAppends()),
      failed: (error) => this.#fatal(error),
    });
    this.#writer = this.#makeWriter(opened);
    this.directory = new PeerDirectory(opened.peers, () => {
      this.#writer.stagePeers(this.directory.records());
    });
    const { identity, directory } = this;
    const owner = this.#transportOwner();
    this.transport = new Transport(options.address, identity, directory, owner, deps);
    this.#ticker = new Ticker(clock, random.stream(`ticks ${identity.raftId}`), this.#timing, {
      tick: () => this.#tick(),
      paused: (lateMs) => this.#paused(lateMs),
    });
    this.#snapshots = this.#makeSnapshots();
    this.#scrub = this.#makeScrub();
    this.#reads = this.#makeReads();
    this.#reign = this.#makeReign();
    this.#succession = this.#makeSuccession();
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

  propose(bytes: Uint8Array, term: number): Promise<ProposeResult> {
    return this.#reign.propose(bytes, term);
  }

  /**
   * Resolves with an index at or above everything that was acknowledged before the call; it is
   * applied here. Rejects with NO_QUORUM when nobody confirms it in time.
   */
  readIndex(timeoutMs = READ_ELECTIONS * this.#timing.electionTimeoutMs): Promise<number> {
    return this.#reads.read(timeoutMs);
  }

  /** Resolves when another voter leads; rejects with NO_QUORUM after an election timeout. */
  transferLeadership(to?: number): Promise<void> {
    return this.#reign.transfer(to);
  }

  /**
   * One change of the members, done when it resolves. `expected`: the members that the caller
   * decided upon; when they are others now, it rejects with VERSION_CONFLICT. Leader only.
   */
  proposeConfChange(change: MemberChange, expected?: ConfState): Promise<void> {
    return this.#reign.changeMembers(change, expected);
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
    return this.#reign.term !== 0;
  }
  /** The term in which leader-scoped parts act here; 0 when they do not. */
  get leaderTerm(): number {
    return this.#reign.term;
  }
  /** False after a pause, until a quorum has confirmed that this member still leads. */
  get isProven(): boolean {
    return this.#reign.isProven;
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
    return this.#reign.onLeadership(listener);
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
    if (options.handOver !== false) await this.#reign.handOver();
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
    const loop = this.#running();
    this.#reign.watchDisk(loop);
    const isHung = this.#reign.isStalled && !loop.node.isLeader;
    // A member that cannot write must not stand for election.
    if (!isHung) loop.run((node) => node.tick());
    this.#housekeep(loop);
  }

  /** A member that hears its leader has no ticks: what is due about once a tick is done here. */
  #leaderHeard(): void {
    if (this.#stopped) return;
    this.#ticker.heardLeader();
    if (this.#deps.clock.monotonicMs() - this.#housekeptMs < this.#timing.tickMs / 2) return;
    const loop = this.#running();
    this.#reign.watchDisk(loop);
    this.#housekeep(loop);
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
    this.#reign.doubt();
  }

  #send(message: Message): void {
    if (this.#reign.withholds(message)) return;
    if (message.type === MessageType.HeartbeatResp && !this.#answers.goes(message)) return;
    if (message.type !== MessageType.Snap) {
      this.transport.send(message);
      return;
    }
    if (message.snapshot) this.#retention.snapshotSent(message.to, message.snapshot.index);
    this.#snapshots.sender.send(message);
  }

  #applied(entry: Entry): void {
    this.#reign.applied(entry, this.#running().node);
    this.#reads.applied();
  }

  #noteState(): void {
    const { node } = this.#running();
    this.#reign.look(node);
    if (!this.#leaders.look(node)) return;
    this.#ticker.start();
    if (!node.isLeader) this.#retention.clear();
    this.#deps.log.info({ term: node.term, leader: node.lead }, 'leader');
    this.#leaders.announce();
    if (node.lead !== NONE) queueMicrotask(() => this.#stopped || this.#reads.askAgain());
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

  // -- snapshots and compaction

  #takeSnapshot(): Snapshot | 'pending' {
    const configIndex = this.#loop?.applier.configIndex ?? 0;
    return this.#snapshots.source.take(Math.max(configIndex, this.#store.boundary.index));
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

  // -- how the parts are joined

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

  #makeSnapshots(): Snapshots {
    const { clock, log, dial } = this.#deps;
    return new Snapshots({
      identity: this.identity,
      directory: this.directory,
      db: this.#db,
      clock,
      log,
      dial,
      loop: () => this.#loop,
      generation: () => this.#store.applied.generation,
      note: (row) => this.#noteRow(row),
      load: (snapshot, rows) => this.#loadSnapshot(snapshot, rows),
    });
  }

  #makeScrub(): Scrub {
    const { clock, log } = this.#deps;
    return new Scrub({
      clock,
      db: this.#db,
      log,
      generation: () => this.#store.applied.generation,
      row: (table, id) => this.#rowInMemory(table, id),
      rewrite: (row) => this.#writer.restage(row),
      isAlone: () => this.confState().voters.every((id) => id === this.identity.raftId),
      failed: (error) => this.#fatal(error),
    });
  }

  #makeReads(): Reads {
    const { clock, random } = this.#deps;
    return new Reads({
      clock,
      random,
      raftId: this.identity.raftId,
      request: (context) => this.#requestRead(context),
      appliedIndex: () => this.#loop?.applier.index ?? 0,
    });
  }

  #makeReign(): Reign {
    return new Reign({
      raftId: this.identity.raftId,
      log: this.#deps.log,
      activity: this.#activity,
      leaders: this.#leaders,
      loop: () => this.#loop,
      timing: () => this.#timing,
      read: (timeoutMs) => this.#reads.read(timeoutMs),
      isReadOnly: () => this.#db.readOnly,
      outstandingMs: () => this.#writer.outstandingMs(),
      leaderAddress: () => this.leader()?.address ?? '',
      fatal: (error) => this.#fatal(error),
    });
  }

  #makeSuccession(): Succession {
    const { clock, random } = this.#deps;
    return new Succession({
      clock,
      random,
      raftId: this.identity.raftId,
      loop: () => (this.#stopped ? undefined : this.#loop),
      mayStand: () => !this.#reign.isStalled,
      slotMs: () => this.#timing.refusedCampaignMs,
    });
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
    this.#reign.end();
    this.#reads.close(error);
  }
}
