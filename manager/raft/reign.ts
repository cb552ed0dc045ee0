import { SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { LeadershipListener, ProposeResult, Proposer } from '../replication.ts';
import { type ConsensusLoop, isLeaderTraffic } from './consensus-loop.ts';
import { type ConfState, type Entry, type Message, NONE, type RawNode } from './core/index.ts';
import { DiskWatch } from './disk-watch.ts';
import type { LeaderWatch } from './leader-watch.ts';
import { Leadership } from './leadership.ts';
import type { MemberChange } from './member-change.ts';
import { bestSuccessor, changeMembers } from './membership.ts';
import { PauseProof } from './pause-proof.ts';
import { Proposals } from './proposals.ts';
import type { Timing } from './timing.ts';
import type { PeerActivity } from './transport/peer-activity.ts';

export interface ReignDeps {
  readonly raftId: number;
  readonly log: Log;
  readonly activity: PeerActivity;
  readonly leaders: LeaderWatch;
  /** Undefined before the member takes part. */
  loop(): ConsensusLoop | undefined;
  timing(): Timing;
  /** Asks a quorum: see `Reads.read`. */
  read(timeoutMs: number): Promise<unknown>;
  /** The disk has too little room. */
  isReadOnly(): boolean;
  /** For how long the write at hand has not ended, in milliseconds. */
  outstandingMs(): number;
  /** Where the leader is, as far as is known here. */
  leaderAddress(): string;
  fatal(error: SwarmError): void;
}

/**
 * What a member does because it leads: it proposes, changes the members, hands over. A reign begins
 * when the first entry of the term is applied here, and ends at the first doubt: another leader or
 * term, a standstill of the process after which no quorum answers, a disk that hangs.
 */
export class Reign implements Proposer {
  readonly #deps: ReignDeps;
  readonly #leadership = new Leadership();
  readonly #proposals = new Proposals();
  readonly #proof = new PauseProof();
  readonly #disk = new DiskWatch();

  constructor(deps: ReignDeps) {
    this.#deps = deps;
  }

  /** The term in which leader-scoped parts act here; 0 when they do not. */
  get term(): number {
    return this.#leadership.term;
  }
  /** False after a standstill, until a quorum has confirmed that this member still leads. */
  get isProven(): boolean {
    return this.#proof.pending === undefined;
  }
  /** The disk hangs: this member must neither stand for election nor keep others from leading. */
  get isStalled(): boolean {
    return this.#disk.isStalled;
  }
  /** A message that would keep up the authority of a leader whose disk hangs. */
  withholds(message: Message): boolean {
    return this.#disk.isStalled && isLeaderTraffic(message);
  }
  onLeadership(listener: LeadershipListener): () => void {
    return this.#leadership.add(listener);
  }

  // -- what others ask of a leader

  async propose(bytes: Uint8Array, term: number): Promise<ProposeResult> {
    if (!this.#isActing(term)) return this.#refusal();
    if (this.#deps.isReadOnly()) return { kind: 'dropped', reason: 'read-only' };
    if (this.#proof.pending) {
      await this.#proof.pending;
      if (!this.#isActing(term)) return this.#refusal();
    }
    const loop = this.#deps.loop();
    if (loop === undefined) return this.#refusal();
    const taken = loop.node.propose(bytes, term);
    if (taken.ok) {
      loop.soon();
      return this.#proposals.add(taken.index, term);
    }
    const isHandingOver = loop.node.leadTransferee !== NONE;
    if (taken.error === 'dropped' && !isHandingOver)
      return { kind: 'dropped', reason: 'overloaded' };
    return { kind: 'dropped', reason: taken.error === 'wrong-term' ? 'wrong-term' : 'not-leader' };
  }

  /** See `changeMembers`. Rejects with NOT_LEADER where this member does not act as the leader. */
  async changeMembers(change: MemberChange, expected: ConfState | undefined): Promise<void> {
    const loop = this.#deps.loop();
    const { term } = this.#leadership;
    if (loop === undefined || term === 0) throw this.#notLeader();
    await changeMembers(loop.node, this.#proposals, term, change, expected, () => loop.soon());
  }

  /** Resolves when another voter leads; rejects with NO_QUORUM after an election timeout. */
  async transfer(to: number | undefined): Promise<void> {
    const loop = this.#deps.loop();
    if (!loop?.node.isLeader) throw this.#notLeader();
    const target = to ?? bestSuccessor(loop.node, this.#deps.activity);
    if (target === NONE) throw new SwarmError('PRECONDITION', 'no other manager is up to date');
    const { electionTimeoutMs } = this.#deps.timing();
    const done = this.#deps.leaders.another(this.#deps.raftId, electionTimeoutMs);
    loop.run((node) => node.transferLeader(target));
    if (!(await done))
      throw new SwarmError('NO_QUORUM', 'the other manager did not take over in time');
  }

  /** Before the end of this member: as `transfer`, where it leads and somebody can follow it. */
  async handOver(): Promise<void> {
    const node = this.#deps.loop()?.node;
    if (!node?.isLeader || bestSuccessor(node, this.#deps.activity) === NONE) return;
    await this.transfer(undefined).catch(() => undefined);
  }

  // -- how it begins and ends

  /** After each entry that was applied here: the first of the own term begins the reign. */
  applied(entry: Entry, node: RawNode): void {
    const isOwn = node.isLeader && entry.term === node.term;
    const isDue = isOwn && this.#leadership.ready(node.term) === 'announce';
    if (isDue && !this.#disk.isStalled) this.#begin(node.term);
    this.#proposals.applied(entry.index, entry.term);
  }

  /** Who leads, or the term, may have changed. */
  look(node: RawNode): void {
    const { term } = this.#leadership;
    if (term !== 0 && (!node.isLeader || node.term !== term)) this.end();
  }

  /** The process stood still: somebody else may lead by now. */
  doubt(): void {
    if (this.#leadership.term === 0) return;
    const read = () => this.#deps.read(this.#deps.timing().electionTimeoutMs * 2);
    this.#proof.begin(read, () => this.#deps.loop()?.run((node) => node.stepDown()));
  }

  /** To be called about once a tick, whoever leads. */
  watchDisk({ node }: ConsensusLoop): void {
    const hasOthers = node.confState().voters.length > 1;
    const outstandingMs = this.#deps.outstandingMs();
    const verdict = this.#disk.judge(outstandingMs, this.#deps.timing(), hasOthers, node.isLeader);
    if (verdict === 'fine') {
      this.#takeUp();
      return;
    }
    if (verdict === 'make-room') this.#makeRoom();
    else if (verdict === 'step-down') this.#deps.loop()?.run(() => node.stepDown());
    else {
      const text = 'a write to the state directory does not end';
      this.#deps.fatal(new SwarmError('STATE_DIR', text));
    }
    // Last: the log may lie on the disk that hangs.
    this.#deps.log.warn({ outstandingMs: Math.round(outstandingMs) }, 'the disk does not answer');
  }

  end(): void {
    // Answers first: listeners that retry must find the old attempts settled.
    this.#proposals.leadershipLost();
    if (this.#leadership.lost()) this.#deps.log.info({}, 'this manager leads no more');
  }

  #begin(term: number): void {
    this.#deps.log.info({ term }, 'this manager leads');
    this.#leadership.gained(term);
  }

  /** First the quick way; at the next tick the leader steps down whatever became of it. */
  #makeRoom(): void {
    this.end();
    this.#deps.loop()?.run((node) => {
      const target = bestSuccessor(node, this.#deps.activity);
      if (target !== NONE) node.transferLeader(target);
    });
  }

  /** The disk answers, and nobody took over. A term is not announced twice: another must begin. */
  #takeUp(): void {
    const loop = this.#deps.loop();
    if (!loop?.node.isLeader || loop.node.leadTransferee !== NONE) return;
    const due = this.#leadership.due(loop.node.term);
    if (due === 'leave') loop.run((node) => node.stepDown());
    if (due === 'announce') loop.run((node) => this.#begin(node.term));
  }

  #isActing(term: number): boolean {
    return term !== 0 && this.#leadership.term === term;
  }
  #refusal(): ProposeResult {
    return { kind: 'dropped', reason: this.#leadership.term === 0 ? 'not-leader' : 'wrong-term' };
  }
  #notLeader(): SwarmError {
    const details = { leader: this.#deps.leaderAddress() };
    return new SwarmError('NOT_LEADER', 'this manager does not lead', { details });
  }
}
