/** The leader's sending: entries, snapshots, heartbeats (dissertation sections 3.5 and 5). */
import { assert } from '../../../shared/assert.ts';
import { describeProgress, hex } from './describe.ts';
import { payloadsSize } from './entry-size.ts';
import type { Progress } from './progress.ts';
import { ProgressState } from './progress.ts';
import type { Raft } from './raft.ts';
import { encodeRound } from './read-only.ts';
import type { NodeId } from './types.ts';
import { MessageType, NO_BYTES, NO_ENTRIES } from './types.ts';

export function broadcastAppend(r: Raft): void {
  for (const p of r.tracker.peers) if (p.id !== r.id) sendAppend(r, p, true);
}

/**
 * Sends the next entries, or a snapshot where they are gone. False when nothing was sent: paused,
 * nothing to say, or the storage is still reading.
 */
export function sendAppend(r: Raft, p: Progress, evenIfEmpty: boolean): boolean {
  if (p.isPaused()) return false;
  const prevIndex = p.next - 1;
  const prevTerm = r.log.term(prevIndex);
  if (typeof prevTerm !== 'number') return sendSnapshot(r, p);
  // Into a full window only an empty message goes. Were all those before it lost, its answer is
  // what frees the window (etcd#14633).
  const isFull = p.state === ProgressState.Replicate && p.inflights.full();
  const entries = isFull ? NO_ENTRIES : r.log.entriesFrom(p.next, r.config.maxSizePerMsg);
  if (entries === 'pending') return false;
  if (typeof entries === 'string') return evenIfEmpty ? sendSnapshot(r, p) : false;
  if (entries.length === 0 && !evenIfEmpty) return false;
  const m = r.send(MessageType.App, p.id);
  m.index = prevIndex;
  m.logTerm = prevTerm;
  m.entries = entries;
  m.commit = r.log.committed;
  p.sentEntries(entries.length, payloadsSize(entries));
  p.sentCommit = r.log.committed;
  return true;
}

function sendSnapshot(r: Raft, p: Progress): boolean {
  if (!p.recentActive) {
    r.tracer.debug(() => `ignore sending snapshot to ${hex(p.id)} since it is not recently active`);
    return false;
  }
  const snapshot = r.log.snapshot();
  if (snapshot === 'pending') {
    const who = `${hex(r.id)} failed to send snapshot to ${hex(p.id)}`;
    r.tracer.debug(() => `${who} because snapshot is temporarily unavailable`);
    return false;
  }
  assert(snapshot.index > 0, 'entries are compacted and there is no snapshot');
  const { index, term } = snapshot;
  r.tracer.debug(
    () =>
      `${hex(r.id)} [firstindex: ${r.log.firstIndex()}, commit: ${r.log.committed}] ` +
      `sent snapshot[index: ${index}, term: ${term}] to ${hex(p.id)} [${describeProgress(p)}]`,
  );
  p.becomeSnapshot(index);
  r.tracer.debug(
    () =>
      `${hex(r.id)} paused sending replication messages to ${hex(p.id)} [${describeProgress(p)}]`,
  );
  r.send(MessageType.Snap, p.id).snapshot = snapshot;
  return true;
}

/** With the number of the newest round of reads, if any waits. */
export function broadcastHeartbeat(r: Raft): void {
  const round = r.readOnly.lastRound;
  const context = round === 0 ? NO_BYTES : encodeRound(round);
  for (const p of r.tracker.peers) {
    if (p.id === r.id) continue;
    // Never a commit index beyond what is known to match: the follower could not check it.
    const commit = Math.min(p.match, r.log.committed);
    const m = r.send(MessageType.Heartbeat, p.id);
    m.commit = commit;
    m.context = context;
    p.sentCommit = commit;
  }
}

/** Moves the commit index to what a quorum has. True if it moved. */
export function maybeCommit(r: Raft): boolean {
  return r.log.maybeCommit(r.tracker.committed(), r.term);
}

/** The transferee has the whole log: it may campaign now, without waiting (section 3.10). */
export function sendTimeoutNow(r: Raft, to: NodeId): void {
  r.send(MessageType.TimeoutNow, to);
}
