/** A follower's answers. */
import { hex } from './describe.ts';
import { maybeCampaign } from './election.ts';
import type { Raft } from './raft.ts';
import { receiveAppend, receiveHeartbeat, receiveSnapshot } from './receive.ts';
import type { Message, StepResult } from './types.ts';
import { MessageType, NONE } from './types.ts';

export function stepFollower(r: Raft, m: Message): StepResult {
  switch (m.type) {
    case MessageType.Prop:
      return forwardProposal(r, m);
    case MessageType.App:
      hearLeader(r, m);
      receiveAppend(r, m);
      return 'ok';
    case MessageType.Heartbeat:
      hearLeader(r, m);
      receiveHeartbeat(r, m);
      return 'ok';
    case MessageType.Snap:
      hearLeader(r, m);
      receiveSnapshot(r, m);
      return 'ok';
    case MessageType.TransferLeader:
      return forward(r, m, 'leader transfer msg');
    case MessageType.ReadIndex:
      return forward(r, m, 'index reading msg');
    case MessageType.ReadIndexResp:
      r.readStates.push({ index: m.index, context: m.context });
      return 'ok';
    case MessageType.ForgetLeader:
      forgetLeader(r);
      return 'ok';
    case MessageType.TimeoutNow:
      r.tracer.info(
        () =>
          `${hex(r.id)} [term ${r.term}] received MsgTimeoutNow from ${hex(m.from)} ` +
          'and starts an election to get leadership.',
      );
      // Never a pre-vote: this is no node that comes back from a partition.
      maybeCampaign(r, 'transfer');
      return 'ok';
    default:
      return 'ok';
  }
}

function hearLeader(r: Raft, m: Message): void {
  r.electionElapsed = 0;
  r.lead = m.from;
}

function forwardProposal(r: Raft, m: Message): StepResult {
  if (r.lead === NONE) {
    r.tracer.info(() => `${hex(r.id)} no leader at term ${r.term}; dropping proposal`);
    return 'dropped';
  }
  if (r.config.disableProposalForwarding) {
    r.tracer.info(
      () =>
        `${hex(r.id)} not forwarding to leader ${hex(r.lead)} at term ${r.term}; ` +
        'dropping proposal',
    );
    return 'dropped';
  }
  r.send(m.type, r.lead).entries = m.entries;
  return 'ok';
}

function forward(r: Raft, m: Message, what: string): StepResult {
  if (r.lead === NONE) {
    r.tracer.info(() => `${hex(r.id)} no leader at term ${r.term}; dropping ${what}`);
    return 'dropped';
  }
  if (m.type === MessageType.TransferLeader) {
    // The sender of such a message is whom it is about.
    r.msgs.push({ ...m, to: r.lead });
  } else {
    r.send(m.type, r.lead).context = m.context;
  }
  return 'ok';
}

function forgetLeader(r: Raft): void {
  if (r.config.readOnly === 'lease') {
    // The lease promises the leader that no vote is given within it.
    r.tracer.error(() => 'ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
    return;
  }
  if (r.lead === NONE) return;
  r.tracer.info(() => `${hex(r.id)} forgetting leader ${hex(r.lead)} at term ${r.term}`);
  r.lead = NONE;
}
