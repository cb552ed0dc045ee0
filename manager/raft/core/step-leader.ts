/** A leader's answers. */
import { assert } from '../../../shared/assert.ts';
import { describeProgress, hex, messageTypeName } from './describe.ts';
import { payloadsSize } from './entry-size.ts';
import type { Progress } from './progress.ts';
import { ProgressState } from './progress.ts';
import { takeProposals } from './proposals.ts';
import type { Raft } from './raft.ts';
import { releaseEarlyReads, takeRead, takeReadAck } from './reads.ts';
import {
  broadcastAppend,
  broadcastHeartbeat,
  maybeCommit,
  sendAppend,
  sendTimeoutNow,
} from './replication.ts';
import type { Message, StepResult } from './types.ts';
import { MessageType, NONE } from './types.ts';

export function stepLeader(r: Raft, m: Message): StepResult {
  switch (m.type) {
    case MessageType.Beat:
      broadcastHeartbeat(r);
      return 'ok';
    case MessageType.CheckQuorum:
      checkQuorum(r);
      return 'ok';
    case MessageType.Prop:
      return takeProposals(r, m.entries) === null ? 'dropped' : 'ok';
    case MessageType.ReadIndex:
      return takeRead(r, m) ? 'ok' : 'dropped';
    case MessageType.App:
    case MessageType.Heartbeat:
      // Election safety (dissertation figure 3.2) is broken: some member voted twice in a term.
      assert(false, `members ${r.id} and ${m.from} both lead term ${r.term}`);
      break;
    default:
      return stepFromPeer(r, m);
  }
}

/** Without a quorum it may be the last to know that another leads (dissertation section 6.2). */
function checkQuorum(r: Raft): void {
  const isActive = r.tracker.isQuorumActive();
  if (!isActive) {
    r.tracer.warn(() => `${hex(r.id)} stepped down to follower since quorum is not active`);
    r.becomeFollower(r.term, NONE);
  }
  for (const p of r.tracker.peers) if (p.id !== r.id) p.recentActive = false;
}

function stepFromPeer(r: Raft, m: Message): StepResult {
  const p = r.tracker.get(m.from);
  if (p === undefined) {
    r.tracer.debug(() => `${hex(r.id)} no progress available for ${hex(m.from)}`);
    return 'ok';
  }
  switch (m.type) {
    case MessageType.AppResp:
      p.recentActive = true;
      if (m.reject) appendRejected(r, p, m);
      else appendAccepted(r, p, m);
      return 'ok';
    case MessageType.HeartbeatResp:
      heartbeatAnswered(r, p, m);
      return 'ok';
    case MessageType.SnapStatus:
      snapshotReported(r, p, m);
      return 'ok';
    case MessageType.Unreachable:
      // What was pipelined is probably lost; if not, the next answer shows it.
      if (p.state === ProgressState.Replicate) p.becomeProbe();
      r.tracer.debug(
        () =>
          `${hex(r.id)} failed to send message to ${hex(p.id)} because it is unreachable ` +
          `[${describeProgress(p)}]`,
      );
      return 'ok';
    case MessageType.TransferLeader:
      transferLeader(r, p);
      return 'ok';
    default:
      return 'ok';
  }
}

function appendRejected(r: Raft, p: Progress, m: Message): void {
  r.tracer.debug(
    () =>
      `${hex(r.id)} received ${messageTypeName(m.type)}(rejected, hint: ` +
      `(index ${m.rejectHint}, term ${m.logTerm})) from ${hex(m.from)} for index ${m.index}`,
  );
  // The follower's entry at the hint has this term. None of ours above our last entry of at most
  // that term can match it: skip them all, one round trip for each term at the worst.
  const probe =
    m.logTerm > 0 ? r.log.findConflictByTerm(m.rejectHint, m.logTerm).index : m.rejectHint;
  if (!p.maybeDecrement(m.index, probe)) return;
  r.tracer.debug(
    () => `${hex(r.id)} decreased progress of ${hex(p.id)} to [${describeProgress(p)}]`,
  );
  if (p.state === ProgressState.Replicate) p.becomeProbe();
  sendAppend(r, p, true);
}

function appendAccepted(r: Raft, p: Progress, m: Message): void {
  // Nobody can have more of this term than its leader: the answer is broken and proves nothing.
  if (m.index > r.log.lastIndex()) return;
  const isNews = p.maybeUpdate(m.index);
  // An answer that only repeats is still worth something to a probe: it has found its place.
  if (!isNews && !(p.match === m.index && p.state === ProgressState.Probe)) return;
  settleState(r, p, m.index);
  if (maybeCommit(r)) {
    releaseEarlyReads(r);
    broadcastAppend(r);
  } else if (p.id !== r.id && p.canBumpCommit(r.log.committed)) {
    // Not needed, the next heartbeat says it too; but this comes earlier.
    sendAppend(r, p, true);
  }
  if (p.id === r.id) return;
  // The window has moved: send whatever fits now.
  while (sendAppend(r, p, false));
  if (p.id === r.leadTransferee && p.match === r.log.lastIndex()) {
    r.tracer.info(
      () => `${hex(r.id)} sent MsgTimeoutNow to ${hex(p.id)} after received MsgAppResp`,
    );
    sendTimeoutNow(r, p.id);
  }
}

function settleState(r: Raft, p: Progress, index: number): void {
  if (p.state === ProgressState.Probe) {
    p.becomeReplicate();
  } else if (p.state === ProgressState.Snapshot && p.match + 1 >= r.log.firstIndex()) {
    // Whichever way it caught up: from here on the log is enough. That holds even if the snapshot
    // on its way is a later one, or came from elsewhere.
    r.tracer.debug(
      () =>
        `${hex(r.id)} recovered from needing snapshot, resumed sending replication messages ` +
        `to ${hex(p.id)} [${describeProgress(p)}]`,
    );
    p.becomeProbe();
    p.becomeReplicate();
  } else if (p.state === ProgressState.Replicate) {
    p.inflights.freeUpTo(index);
  }
}

function heartbeatAnswered(r: Raft, p: Progress, m: Message): void {
  p.recentActive = true;
  // It lives: whatever was waiting for an answer may be lost, so one more message may go.
  p.flowPaused = false;
  if (p.match < r.log.lastIndex() || p.state === ProgressState.Probe) sendAppend(r, p, true);
  takeReadAck(r, m);
}

function snapshotReported(r: Raft, p: Progress, m: Message): void {
  if (p.state !== ProgressState.Snapshot) return;
  // After a failure nothing is known to have arrived; probing starts where it stood before.
  if (m.reject) p.pendingSnapshot = 0;
  p.becomeProbe();
  const outcome = m.reject ? 'failed' : 'succeeded';
  r.tracer.debug(
    () =>
      `${hex(r.id)} snapshot ${outcome}, resumed sending replication messages ` +
      `to ${hex(p.id)} [${describeProgress(p)}]`,
  );
  // After success its answer is on its way; after failure the next heartbeat is early enough.
  p.flowPaused = true;
}

function transferLeader(r: Raft, p: Progress): void {
  if (p.isLearner) {
    r.tracer.debug(() => `${hex(r.id)} is learner. Ignored transferring leadership`);
    return;
  }
  const before = r.leadTransferee;
  const prefix = `${hex(r.id)} [term ${r.term}]`;
  if (before === p.id) {
    const who = hex(p.id);
    r.tracer.info(
      () =>
        `${prefix} transfer leadership to ${who} is in progress, ` +
        `ignores request to same node ${who}`,
    );
    return;
  }
  if (before !== NONE) {
    r.leadTransferee = NONE;
    r.tracer.info(() => `${prefix} abort previous transferring leadership to ${hex(before)}`);
  }
  if (p.id === r.id) {
    r.tracer.debug(() => `${hex(r.id)} is already leader. Ignored transferring leadership to self`);
    return;
  }
  r.tracer.info(() => `${prefix} starts to transfer leadership to ${hex(p.id)}`);
  // It has one election timeout; then this leader goes on (section 3.10).
  r.electionElapsed = 0;
  r.leadTransferee = p.id;
  if (p.match === r.log.lastIndex()) {
    sendTimeoutNow(r, p.id);
    r.tracer.info(
      () =>
        `${hex(r.id)} sends MsgTimeoutNow to ${hex(p.id)} immediately ` +
        `as ${hex(p.id)} already has up-to-date log`,
    );
  } else {
    sendAppend(r, p, true);
  }
}

/** Bytes of proposals that are applied no longer count against the uncommitted limit. */
export function releaseApplied(r: Raft, m: Message): void {
  r.release(payloadsSize(m.entries));
}
