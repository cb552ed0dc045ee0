/** The entrance for every message: terms first, then votes and storage, then the role. */
import { unreachable } from '../../../shared/assert.ts';
import { hex, messageTypeName } from './describe.ts';
import {
  hasUnappliedConfChange,
  isTransferCampaign,
  maybeCampaign,
  responseTo,
} from './election.ts';
import { entriesSize } from './entry-size.ts';
import { maybeLeaveJoint } from './proposals.ts';
import type { Raft } from './raft.ts';
import { stepCandidate } from './step-candidate.ts';
import { stepFollower } from './step-follower.ts';
import { releaseApplied, stepLeader } from './step-leader.ts';
import type { Message, Snapshot, StepResult } from './types.ts';
import { blankMessage, MessageType, NONE, StateType } from './types.ts';

/** Takes a message that is known to be well formed. */
export function step(r: Raft, m: Message): StepResult {
  learnCommit(r, m);
  // Term 0 is of no term: from this member itself, or a request on its way to the leader.
  if (m.term > r.term) {
    if (!enterTerm(r, m)) return 'ok';
  } else if (m.term !== 0 && m.term < r.term) {
    takeOld(r, m);
    return 'ok';
  }
  switch (m.type) {
    case MessageType.Hup:
      maybeCampaign(r, r.config.preVote ? 'pre-election' : 'election');
      return 'ok';
    case MessageType.StorageAppendResp:
      if (m.index !== 0) r.log.unstable.stableTo(m.index, m.logTerm);
      if (m.snapshot !== null) snapshotDurable(r, m.snapshot);
      return 'ok';
    case MessageType.StorageApplyResp:
      if (m.entries.length > 0) {
        appliedTo(r, m.entries[m.entries.length - 1]!.index, entriesSize(m.entries));
        releaseApplied(r, m);
      }
      return 'ok';
    case MessageType.Vote:
    case MessageType.PreVote:
      answerVote(r, m);
      return 'ok';
    default:
      return stepRole(r, m);
  }
}

/**
 * What is committed is so in every term, whoever says it: an answer to a vote may be of any. A
 * campaign ends where the members have changed meanwhile: its votes are counted by the old ones. The
 * rule is that of raft-rs (there `maybe_commit_by_vote`).
 */
function learnCommit(r: Raft, m: Message): void {
  if (m.type !== MessageType.VoteResp && m.type !== MessageType.PreVoteResp) return;
  if (m.commit === 0 || r.state === StateType.Leader) return;
  if (!r.log.maybeCommit(m.commit, m.logTerm) || r.state === StateType.Follower) return;
  if (hasUnappliedConfChange(r)) r.becomeFollower(r.term, NONE);
}

function stepRole(r: Raft, m: Message): StepResult {
  switch (r.state) {
    case StateType.Leader:
      return stepLeader(r, m);
    case StateType.Follower:
      return stepFollower(r, m);
    case StateType.Candidate:
    case StateType.PreCandidate:
      return stepCandidate(r, m);
    default:
      return unreachable(r.state, 'state');
  }
}

/** The message is of a higher term. False if it is ignored. */
function enterTerm(r: Raft, m: Message): boolean {
  const isVote = m.type === MessageType.Vote || m.type === MessageType.PreVote;
  if (isVote && !isTransferCampaign(m.context) && inLease(r)) {
    // A leader lives: who does not hear it shall not disturb those who do (section 4.2.3).
    const remaining = r.config.electionTicks - r.electionElapsed;
    r.tracer.info(
      () => `${voteLine(r, m, 'ignored')}: lease is not expired (remaining ticks: ${remaining})`,
    );
    return false;
  }
  // A pre-vote never moves the term of whom it asks; granted, it bears the term that was asked for.
  if (m.type === MessageType.PreVote) return true;
  if (m.type === MessageType.PreVoteResp && !m.reject) return true;
  r.tracer.info(
    () =>
      `${hex(r.id)} [term: ${r.term}] received a ${messageTypeName(m.type)} message ` +
      `with higher term from ${hex(m.from)} [term: ${m.term}]`,
  );
  const fromLeader =
    m.type === MessageType.App || m.type === MessageType.Heartbeat || m.type === MessageType.Snap;
  r.becomeFollower(m.term, fromLeader ? m.from : NONE);
  return true;
}

function inLease(r: Raft): boolean {
  return r.config.checkQuorum && r.lead !== NONE && r.electionElapsed < r.config.electionTicks;
}

function voteLine(r: Raft, m: Message, verb: 'cast' | 'rejected' | 'ignored'): string {
  const preposition = verb === 'cast' ? 'for' : 'from';
  return (
    `${hex(r.id)} [logterm: ${r.log.lastTerm()}, index: ${r.log.lastIndex()}, ` +
    `vote: ${hex(r.vote)}] ${verb} ${messageTypeName(m.type)} ${preposition} ${hex(m.from)} ` +
    `[logterm: ${m.logTerm}, index: ${m.index}] at term ${r.term}`
  );
}

/** The message is of a lower term. */
function takeOld(r: Raft, m: Message): void {
  const { checkQuorum, preVote } = r.config;
  const fromLeader = m.type === MessageType.App || m.type === MessageType.Heartbeat;
  if ((checkQuorum || preVote) && fromLeader) {
    // This member's term got ahead while it was cut off. The answer carries that term, deposes the
    // leader, and so lets this member back in; without it each would ignore the other for ever.
    r.send(MessageType.AppResp, m.from);
  } else if (m.type === MessageType.PreVote) {
    // With the higher term in it, so that the asker stops asking in vain.
    r.tracer.info(() => voteLine(r, m, 'rejected'));
    sendVote(r, m).reject = true;
  } else if (m.type === MessageType.StorageAppendResp) {
    takeOldWrite(r, m);
  } else {
    r.tracer.info(
      () =>
        `${hex(r.id)} [term: ${r.term}] ignored a ${messageTypeName(m.type)} message ` +
        `with lower term from ${hex(m.from)} [term: ${m.term}]`,
    );
  }
}

/**
 * A write of an earlier term is done. Its entries may have been overwritten by a write that is
 * still under way, and written back at the same index and term by another after it (ABA), so they
 * stay unstable until a write of this term says so. A snapshot, being committed, is never undone.
 */
function takeOldWrite(r: Raft, m: Message): void {
  if (m.index !== 0) {
    r.tracer.info(
      () =>
        `${hex(r.id)} [term: ${r.term}] ignored entry appends from a ` +
        `${messageTypeName(m.type)} message with lower term [term: ${m.term}]`,
    );
  }
  if (m.snapshot !== null) snapshotDurable(r, m.snapshot);
}

function answerVote(r: Raft, m: Message): void {
  const canVote =
    r.vote === m.from ||
    (r.vote === NONE && r.lead === NONE) ||
    (m.type === MessageType.PreVote && m.term > r.term);
  // A learner votes as well: the asker may know of a promotion that has not come here (#10998).
  if (canVote && r.log.isUpToDate(m.index, m.logTerm)) {
    r.tracer.info(() => voteLine(r, m, 'cast'));
    sendVote(r, m).term = m.term;
    if (m.type === MessageType.Vote) {
      r.electionElapsed = 0;
      r.vote = m.from;
    }
    return;
  }
  r.tracer.info(() => voteLine(r, m, 'rejected'));
  sendVote(r, m).reject = true;
}

/** The answer to a vote or pre-vote; the caller says which. */
function sendVote(r: Raft, m: Message) {
  const answer = r.send(responseTo(m.type), m.from);
  if (r.config.votesTellCommit) {
    answer.commit = r.log.committed;
    answer.logTerm = r.log.termOrZero(r.log.committed);
  }
  return answer;
}

function appliedTo(r: Raft, index: number, sizeBytes: number): void {
  // A snapshot may have brought the state further than these entries do.
  r.log.appliedTo(Math.max(index, r.log.applied), sizeBytes);
  maybeLeaveJoint(r);
  const held = r.heldSnapshot;
  if (held === null || r.log.applying > r.log.applied) return;
  r.heldSnapshot = null;
  // Through the front door: the term may have moved on since.
  step(r, held);
}

function snapshotDurable(r: Raft, snapshot: Snapshot): void {
  r.log.unstable.stableSnapshotTo(snapshot.index);
  appliedTo(r, snapshot.index, 0);
}

/** One tick: elections for those who follow, heartbeats and quorum checks for the leader. */
export function tick(r: Raft): void {
  r.electionElapsed++;
  if (r.state !== StateType.Leader) {
    if (r.electionElapsed < r.randomizedElectionTimeout || !r.promotable()) return;
    r.electionElapsed = 0;
    step(r, blankMessage(MessageType.Hup));
    return;
  }
  r.heartbeatElapsed++;
  if (r.electionElapsed >= r.config.electionTicks) {
    r.electionElapsed = 0;
    if (r.config.checkQuorum) step(r, blankMessage(MessageType.CheckQuorum));
    // Another could not take over within an election timeout: this leader goes on (section 3.10).
    r.leadTransferee = NONE;
    // A transfer may have kept it from leaving a joint state when that was due.
    maybeLeaveJoint(r);
  }
  // Read again: the check may have deposed it.
  if ((r.state as StateType) !== StateType.Leader) return;
  if (r.heartbeatElapsed < r.config.heartbeatTicks) return;
  r.heartbeatElapsed = 0;
  step(r, blankMessage(MessageType.Beat));
}
