/** Campaigns: who may begin one, what it asks, when it is won (dissertation 3.4, 4.2.3, 9.6). */
import { assert } from '../../../shared/assert.ts';
import { hex, messageTypeName } from './describe.ts';
import { jointVoters, type VoteResult } from './quorum.ts';
import type { Raft } from './raft.ts';
import type { NodeId } from './types.ts';
import { EntryType, MessageType, NO_BYTES, StateType } from './types.ts';

/** `transfer` skips the pre-vote and overrides the lease: the leader itself asked for it. */
export type CampaignKind = 'pre-election' | 'election' | 'transfer';

/** Travels in the context of a Vote, with the bytes that etcd uses. */
const TRANSFER = bytesOf('CampaignTransfer');

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

export function isTransferCampaign(context: Uint8Array): boolean {
  return context.length === TRANSFER.length && context.every((byte, i) => byte === TRANSFER[i]);
}

/** Begins a campaign, unless something speaks against it. */
export function maybeCampaign(r: Raft, kind: CampaignKind): void {
  if (r.state === StateType.Leader) {
    r.tracer.debug(() => `${hex(r.id)} ignoring MsgHup because already leader`);
    return;
  }
  if (!r.promotable()) {
    r.tracer.warn(() => `${hex(r.id)} is unpromotable and can not campaign`);
    return;
  }
  if (hasUnappliedConfChange(r)) {
    r.tracer.warn(
      () =>
        `${hex(r.id)} cannot campaign at term ${r.term} ` +
        'since there are still pending configuration changes to apply',
    );
    return;
  }
  r.tracer.info(() => `${hex(r.id)} is starting a new election at term ${r.term}`);
  campaign(r, kind);
}

/** With one, this member may be counting votes by a membership that is no longer in force. */
export function hasUnappliedConfChange(r: Raft): boolean {
  let lo = r.log.applied + 1;
  const hi = r.log.committed + 1;
  while (lo < hi) {
    const page = r.log.slice(lo, hi, r.config.maxCommittedSizePerReady);
    assert(typeof page !== 'string', `committed entries cannot be read: ${page}`);
    if (page.some((e) => e.type !== EntryType.Normal)) return true;
    lo += page.length;
  }
  return false;
}

export function campaign(r: Raft, kind: CampaignKind): void {
  const isPreVote = kind === 'pre-election';
  if (isPreVote) r.becomePreCandidate();
  else r.becomeCandidate();
  const type = isPreVote ? MessageType.PreVote : MessageType.Vote;
  // A pre-vote asks about the next term without entering it.
  const term = isPreVote ? r.term + 1 : r.term;
  const index = r.log.lastIndex();
  const logTerm = r.log.lastTerm();
  for (const to of jointVoters(r.tracker.membership)) {
    if (to === r.id) {
      // The own vote counts like any other: when it is durable.
      r.send(responseTo(type), to).term = term;
      continue;
    }
    r.tracer.info(
      () =>
        `${hex(r.id)} [logterm: ${logTerm}, index: ${index}] ` +
        `sent ${messageTypeName(type)} request to ${hex(to)} at term ${r.term}`,
    );
    const m = r.send(type, to);
    m.term = term;
    m.index = index;
    m.logTerm = logTerm;
    if (kind === 'transfer') m.context = TRANSFER;
  }
}

export function responseTo(type: MessageType): MessageType {
  if (type === MessageType.Vote) return MessageType.VoteResp;
  assert(type === MessageType.PreVote, 'only votes are answered with votes');
  return MessageType.PreVoteResp;
}

/** Counts an answer and says how the election stands. */
export function countVote(r: Raft, from: NodeId, type: MessageType, granted: boolean): VoteResult {
  const what = granted ? messageTypeName(type) : `${messageTypeName(type)} rejection`;
  r.tracer.info(() => `${hex(r.id)} received ${what} from ${hex(from)} at term ${r.term}`);
  r.tracker.recordVote(from, granted);
  const tally = r.tracker.tally();
  r.tracer.info(
    () =>
      `${hex(r.id)} has received ${tally.granted} ${messageTypeName(type)} votes ` +
      `and ${tally.rejected} vote rejections`,
  );
  return tally.result;
}

/** Leads from now on, with an empty entry first: only own-term entries commit by counting. */
export function lead(r: Raft): void {
  r.becomeLeader();
  const entries = r.appendOwn([{ type: EntryType.Normal, data: NO_BYTES }]);
  assert(entries !== null, 'an empty entry always fits');
  r.tracer.info(() => `${hex(r.id)} became leader at term ${r.term}`);
}
