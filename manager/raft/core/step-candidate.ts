/** A candidate's answers, whether it asks for votes or for pre-votes. */
import { hex, stateName } from './describe.ts';
import { campaign, countVote, lead } from './election.ts';
import { VoteResult } from './quorum.ts';
import type { Raft } from './raft.ts';
import { receiveAppend, receiveHeartbeat, receiveSnapshot } from './receive.ts';
import { broadcastAppend } from './replication.ts';
import type { Message, StepResult } from './types.ts';
import { MessageType, NONE, StateType } from './types.ts';

export function stepCandidate(r: Raft, m: Message): StepResult {
  switch (m.type) {
    case MessageType.Prop:
      r.tracer.info(() => `${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
      return 'dropped';
    case MessageType.ReadIndex:
    case MessageType.TransferLeader:
      return 'dropped';
    // Somebody leads this term already (dissertation section 3.4).
    case MessageType.App:
      r.becomeFollower(m.term, m.from);
      receiveAppend(r, m);
      return 'ok';
    case MessageType.Heartbeat:
      r.becomeFollower(m.term, m.from);
      receiveHeartbeat(r, m);
      return 'ok';
    case MessageType.Snap:
      r.becomeFollower(m.term, m.from);
      receiveSnapshot(r, m);
      return 'ok';
    case MessageType.VoteResp:
    case MessageType.PreVoteResp:
      takeVote(r, m);
      return 'ok';
    case MessageType.TimeoutNow:
      r.tracer.debug(
        () =>
          `${hex(r.id)} [term ${r.term} state ${stateName(r.state)}] ` +
          `ignored MsgTimeoutNow from ${hex(m.from)}`,
      );
      return 'ok';
    default:
      return 'ok';
  }
}

function takeVote(r: Raft, m: Message): void {
  const isPreCandidate = r.state === StateType.PreCandidate;
  // Answers to the other question may still arrive; they are none to this one.
  if (m.type !== (isPreCandidate ? MessageType.PreVoteResp : MessageType.VoteResp)) return;
  const result = countVote(r, m.from, m.type, !m.reject);
  if (result === VoteResult.Won) {
    if (isPreCandidate) {
      campaign(r, 'election');
    } else {
      lead(r);
      broadcastAppend(r);
    }
  } else if (result === VoteResult.Lost) {
    r.becomeFollower(r.term, NONE);
  }
}
