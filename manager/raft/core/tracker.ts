/** The membership in force, what is known of each member, and the votes of an election. */
import { assert } from '../../../shared/assert.ts';
import { Inflights } from './inflights.ts';
import { Progress } from './progress.ts';
import type { JointQuorum, VoteResult } from './quorum.ts';
import { jointCommitted, jointVote, VoteResult as Result } from './quorum.ts';
import type { ConfState, NodeId } from './types.ts';

/**
 * A membership, in force or under construction. All lists are sorted.
 * Invariants: learners are no voters of either half; learnersNext are voters of the outgoing half;
 * without an outgoing half there are no learnersNext and no autoLeave.
 */
export interface Membership extends JointQuorum {
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

export const NO_MEMBERS: Membership = Object.freeze({
  incoming: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

export type ProgressMap = ReadonlyMap<NodeId, Progress>;

export class Tracker {
  membership: Membership = NO_MEMBERS;
  /** By rising id, so that the order of messages does not depend on history. */
  peers: readonly Progress[] = [];
  private byId: ProgressMap = new Map();
  private readonly votes = new Map<NodeId, boolean>();
  private readonly maxInflightMsgs: number;
  private readonly maxInflightBytes: number;
  private readonly matchOf = (id: NodeId): number | undefined => this.byId.get(id)?.match;

  constructor(maxInflightMsgs: number, maxInflightBytes: number) {
    this.maxInflightMsgs = maxInflightMsgs;
    this.maxInflightBytes = maxInflightBytes;
  }

  get(id: NodeId): Progress | undefined {
    return this.byId.get(id);
  }

  get progress(): ProgressMap {
    return this.byId;
  }

  /** Puts a membership in force; every member in it has exactly one progress. */
  install(membership: Membership, progress: ProgressMap): void {
    checkMembership(membership, progress);
    this.membership = membership;
    this.peers = [...progress.values()].sort((a, b) => a.id - b.id);
    this.byId = progress;
  }

  newProgress(id: NodeId, next: number, isLearner: boolean): Progress {
    const inflights = new Inflights(this.maxInflightMsgs, this.maxInflightBytes);
    return new Progress(id, next, inflights, isLearner);
  }

  isJoint(): boolean {
    return this.membership.outgoing.length > 0;
  }

  /** The only voter, needing nobody's consent. */
  isSingleton(): boolean {
    return this.membership.incoming.length === 1 && !this.isJoint();
  }

  isVoter(id: NodeId): boolean {
    return isVoter(this.membership, id);
  }

  /** The highest index durable on a quorum. */
  committed(): number {
    return jointCommitted(this.membership, this.matchOf);
  }

  /** Whether a quorum was heard from since the last check. */
  isQuorumActive(): boolean {
    const active = (id: NodeId) => this.byId.get(id)?.recentActive === true;
    return jointVote(this.membership, active) === Result.Won;
  }

  resetVotes(): void {
    this.votes.clear();
  }

  /** The first answer of a member counts; a repeated one changes nothing. */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.votes.has(id)) this.votes.set(id, granted);
  }

  tally(): { granted: number; rejected: number; result: VoteResult } {
    let granted = 0;
    let rejected = 0;
    // Counts for the trace are of voters in force: others may have been asked, or been removed.
    for (const p of this.peers) {
      const vote = p.isLearner ? undefined : this.votes.get(p.id);
      if (vote === true) granted++;
      else if (vote === false) rejected++;
    }
    const result = jointVote(this.membership, (id) => this.votes.get(id));
    return { granted, rejected, result };
  }
}

export function isVoter(m: Membership, id: NodeId): boolean {
  return m.incoming.includes(id) || m.outgoing.includes(id);
}

export function toConfState(m: Membership): ConfState {
  return {
    voters: m.incoming,
    votersOutgoing: m.outgoing,
    learners: m.learners,
    learnersNext: m.learnersNext,
    autoLeave: m.autoLeave,
  };
}

/** The invariants of a membership and its progress. */
export function checkMembership(m: Membership, progress: ProgressMap): void {
  for (const id of [...m.incoming, ...m.outgoing, ...m.learners, ...m.learnersNext]) {
    assert(progress.has(id), `member ${id} has no progress`);
  }
  for (const id of m.learners) {
    assert(!isVoter(m, id), `${id} is both learner and voter`);
    assert(progress.get(id)!.isLearner, `${id} is a learner and not marked as one`);
  }
  for (const id of m.learnersNext) {
    assert(m.outgoing.includes(id), `${id} will be a learner and is no outgoing voter`);
    assert(!progress.get(id)!.isLearner, `${id} is still a voter and marked as learner`);
  }
  for (const id of progress.keys()) {
    assert(isVoter(m, id) || m.learners.includes(id), `${id} has progress and is no member`);
  }
  if (m.outgoing.length > 0) return;
  assert(m.learnersNext.length === 0, 'learnersNext outside of a joint configuration');
  assert(!m.autoLeave, 'autoLeave outside of a joint configuration');
}
