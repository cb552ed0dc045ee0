/** Linearizable reads on the leader (dissertation section 6.4). */
import { jointCommitted } from './quorum.ts';
import type { Raft } from './raft.ts';
import { decodeRound } from './read-only.ts';
import { broadcastHeartbeat } from './replication.ts';
import type { Message, NodeId } from './types.ts';
import { MessageType, NONE } from './types.ts';

/** A read request reached the leader. False: dropped, too many wait. */
export function takeRead(r: Raft, m: Message): boolean {
  if (r.earlyReads.length + r.readOnly.length >= r.config.maxPendingReads) return false;
  if (!r.hasCommittedInTerm()) {
    r.earlyReads.push(m);
    return true;
  }
  confirmRead(r, m);
  return true;
}

/** The first entry of this term is committed: what waited for it can go on. */
export function releaseEarlyReads(r: Raft): void {
  if (r.earlyReads.length === 0 || !r.hasCommittedInTerm()) return;
  const waiting = r.earlyReads;
  r.earlyReads = [];
  for (const m of waiting) confirmRead(r, m);
}

function confirmRead(r: Raft, m: Message): void {
  // The only voter needs no proof; but after a restart even it may lag behind its own answers,
  // which is why it, too, waited for the first commit of its term.
  const isAlone = r.tracker.isSingleton() && r.tracker.isVoter(r.id);
  if (isAlone || r.config.readOnly === 'lease') {
    answerRead(r, m.from, m.context, r.log.committed);
    return;
  }
  if (r.readOnly.add(m.from, m.context, r.log.committed)) broadcastHeartbeat(r);
  r.readOnly.recordAck(r.id, r.readOnly.lastRound);
}

/** A heartbeat was answered: a quorum may have confirmed some rounds. */
export function takeReadAck(r: Raft, m: Message): void {
  if (r.config.readOnly !== 'safe') return;
  const round = decodeRound(m.context);
  if (round === 0 || r.readOnly.length === 0) return;
  r.readOnly.recordAck(m.from, round);
  const confirmed = jointCommitted(r.tracker.membership, (id) => r.readOnly.ackOf(id));
  for (const read of r.readOnly.take(confirmed)) {
    answerRead(r, read.from, read.context, read.index);
  }
}

function answerRead(r: Raft, from: NodeId, context: Uint8Array, index: number): void {
  if (from === NONE || from === r.id) {
    r.readStates.push({ index, context });
    return;
  }
  const m = r.send(MessageType.ReadIndexResp, from);
  m.index = index;
  m.context = context;
}
