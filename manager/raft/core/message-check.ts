/**
 * What may come in at all. Everything behind this door may trust the form of a message, so that an
 * assertion there means a broken program and never a broken peer.
 */
import { decodeConfChange } from './confchange-codec.ts';
import type { Raft } from './raft.ts';
import type { Entry, Message, NodeId, Snapshot, StepResult } from './types.ts';
import { EntryType, LOCAL_APPEND, LOCAL_APPLY, MessageType, NONE } from './types.ts';

/** Bits: which kinds never come over the wire, and which are answers. */
const LOCAL = 1;
const ANSWER = 2;

const KINDS: readonly number[] = (() => {
  const kinds: number[] = [];
  for (const type of Object.values(MessageType)) kinds[type] = 0;
  const { Hup, Beat, Unreachable, SnapStatus, CheckQuorum } = MessageType;
  const { StorageAppend, StorageAppendResp, StorageApply, StorageApplyResp } = MessageType;
  for (const type of [Hup, Beat, CheckQuorum, StorageAppend, StorageApply]) kinds[type] = LOCAL;
  for (const type of [Unreachable, SnapStatus]) kinds[type] = LOCAL;
  for (const type of [StorageAppendResp, StorageApplyResp]) kinds[type] = LOCAL | ANSWER;
  const { AppResp, VoteResp, HeartbeatResp, ReadIndexResp, PreVoteResp } = MessageType;
  for (const type of [AppResp, VoteResp, HeartbeatResp, ReadIndexResp, PreVoteResp]) {
    kinds[type] = ANSWER;
  }
  return kinds;
})();

/** `ok`, or why the message must not be taken. */
export function isStepable(m: Message, r: Raft): StepResult {
  const kind = KINDS[m.type];
  if (kind === undefined) return 'malformed';
  const fromThread = m.from === LOCAL_APPEND || m.from === LOCAL_APPLY;
  if (fromThread) return (kind & LOCAL) !== 0 ? 'ok' : 'malformed';
  if ((kind & LOCAL) !== 0) return 'local-message';
  if (!isWellFormed(m, r.id)) return 'malformed';
  if ((kind & ANSWER) !== 0 && r.tracker.get(m.from) === undefined) return 'peer-not-found';
  return 'ok';
}

/** All that a member ever tells itself; or a follower's wish that this one should lead. */
function isOwn(m: Message): boolean {
  if (m.type === MessageType.AppResp) return !m.reject;
  const { VoteResp, PreVoteResp, TransferLeader } = MessageType;
  return m.type === VoteResp || m.type === PreVoteResp || m.type === TransferLeader;
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function isWellFormed(m: Message, id: NodeId): boolean {
  // For another: an address was reused, or an id. Taking it would speak in that one's name.
  if (m.to !== id) return false;
  if (m.from === id && !isOwn(m)) return false;
  if (!isCount(m.from) || !isCount(m.term) || !isCount(m.logTerm) || !isCount(m.index)) {
    return false;
  }
  if (!isCount(m.commit) || !isCount(m.vote) || !isCount(m.rejectHint)) return false;
  switch (m.type) {
    case MessageType.App:
      return m.from !== NONE && m.term > 0 && areContiguous(m);
    case MessageType.Snap:
      return m.from !== NONE && m.term > 0 && m.snapshot !== null && isSnapshot(m.snapshot);
    case MessageType.Heartbeat:
    case MessageType.Vote:
    case MessageType.PreVote:
    case MessageType.AppResp:
    case MessageType.VoteResp:
    case MessageType.PreVoteResp:
    case MessageType.HeartbeatResp:
      return m.from !== NONE && m.term > 0;
    case MessageType.Prop:
      return m.entries.length > 0 && m.entries.every(isProposable);
    default:
      return true;
  }
}

/** Entries of an App follow each other, with terms that never fall (log matching, 3.5). */
function areContiguous(m: Message): boolean {
  let { index, logTerm: term } = m;
  for (const e of m.entries) {
    if (e.index !== index + 1 || e.term < term || e.term > m.term) return false;
    if (!isCount(e.type) || e.type > EntryType.ConfChangeV2) return false;
    index = e.index;
    term = e.term;
  }
  return true;
}

function isSnapshot(s: Snapshot): boolean {
  if (!isCount(s.index) || s.index === 0 || !isCount(s.term)) return false;
  const { voters, votersOutgoing, learners, learnersNext } = s.confState;
  const all = [voters, votersOutgoing, learners, learnersNext].flat();
  if (voters.length === 0 || !all.every((id) => isCount(id) && id !== NONE)) return false;
  // What `checkMembership` asserts of one that was built here.
  const isVoter = (id: NodeId) => voters.includes(id) || votersOutgoing.includes(id);
  if (learners.some(isVoter)) return false;
  return learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id));
}

function isProposable(e: Entry): boolean {
  return e.type === EntryType.Normal || decodeConfChange(e) !== null;
}
