/** What a follower does with what its leader sends (dissertation figures 3.1 and 5.3). */
import { hex } from './describe.ts';
import { restoreConfState } from './membership.ts';
import type { Raft } from './raft.ts';
import type { Message, Snapshot } from './types.ts';
import { MessageType, NONE, StateType } from './types.ts';

export function receiveAppend(r: Raft, m: Message): void {
  if (m.index < r.log.committed) {
    // Late: what is committed here is the same everywhere, so this much surely matches.
    r.send(MessageType.AppResp, m.from).index = r.log.committed;
    return;
  }
  const last = r.log.maybeAppend(m.index, m.logTerm, m.commit, m.entries);
  if (last >= 0) {
    r.send(MessageType.AppResp, m.from).index = last;
    return;
  }
  r.tracer.debug(
    () =>
      `${hex(r.id)} [logterm: ${r.log.termOrZero(m.index)}, index: ${m.index}] ` +
      `rejected MsgApp [logterm: ${m.logTerm}, index: ${m.index}] from ${hex(m.from)}`,
  );
  // Entries here with a term above the leader's at that place cannot be in the leader's log, so
  // the hint skips them all at once.
  const hint = r.log.findConflictByTerm(Math.min(m.index, r.log.lastIndex()), m.logTerm);
  const answer = r.send(MessageType.AppResp, m.from);
  answer.index = m.index;
  answer.reject = true;
  answer.rejectHint = hint.index;
  answer.logTerm = hint.term;
}

export function receiveHeartbeat(r: Raft, m: Message): void {
  r.log.commitTo(m.commit);
  r.send(MessageType.HeartbeatResp, m.from).context = m.context;
}

export function receiveSnapshot(r: Raft, m: Message): void {
  const snapshot = m.snapshot;
  if (snapshot === null) return;
  // Entries are being applied whose configuration changes belong to the membership before this
  // snapshot's: they would be applied to the wrong one. So nothing is installed beside an apply.
  if (r.log.applying > r.log.applied) {
    r.heldSnapshot = m;
    return;
  }
  const { index, term } = snapshot;
  if (restore(r, snapshot)) {
    r.tracer.info(
      () =>
        `${hex(r.id)} [commit: ${r.log.committed}] ` +
        `restored snapshot [index: ${index}, term: ${term}]`,
    );
    r.send(MessageType.AppResp, m.from).index = r.log.lastIndex();
    return;
  }
  r.tracer.info(
    () =>
      `${hex(r.id)} [commit: ${r.log.committed}] ` +
      `ignored snapshot [index: ${index}, term: ${term}]`,
  );
  r.send(MessageType.AppResp, m.from).index = r.log.committed;
}

/** False if the snapshot brings nothing, or must not be taken. */
function restore(r: Raft, s: Snapshot): boolean {
  if (s.index <= r.log.committed) return false;
  if (r.state !== StateType.Follower) {
    // Steps of a leader or candidate never lead here; if one does, doing nothing is safe.
    r.tracer.warn(
      () => `${hex(r.id)} attempted to restore snapshot as leader; should never happen`,
    );
    r.becomeFollower(r.term + 1, NONE);
    return false;
  }
  const { confState } = s;
  const members = [
    ...confState.voters,
    ...confState.learners,
    // Voters of the outgoing half only still take part (learnersNext among them).
    ...confState.votersOutgoing,
  ];
  if (!members.includes(r.id)) {
    r.tracer.warn(
      () =>
        `${hex(r.id)} attempted to restore snapshot but it is not in the ConfState; ` +
        'should never happen',
    );
    return false;
  }
  const position = (): string =>
    `${hex(r.id)} [commit: ${r.log.committed}, lastindex: ${r.log.lastIndex()}, ` +
    `lastterm: ${r.log.lastTerm()}]`;
  const which = `snapshot [index: ${s.index}, term: ${s.term}]`;
  if (r.log.matchTerm(s.index, s.term)) {
    // The log has it all: only the commit index is news, and the suffix may be acknowledged.
    r.tracer.info(() => `${position()} fast-forwarded commit to ${which}`);
    r.log.commitTo(s.index);
    return false;
  }
  r.log.restore(s);
  restoreConfState(r, confState);
  r.tracer.info(() => `${position()} restored ${which}`);
  return true;
}
