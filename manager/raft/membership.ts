import { SwarmError } from '../../shared/errors.ts';
import { type ConfState, NONE, ProgressState, type RawNode } from './core/index.ts';
import { type MemberChange, toConfChange } from './member-change.ts';
import type { Proposals } from './proposals.ts';
import { isMember } from './quorum-guard.ts';
import type { PeerActivity } from './transport/peer-activity.ts';

/** How far a member's log is, as its leader knows. */
export interface MemberProgress {
  readonly match: number;
  readonly lastIndex: number;
  readonly isActive: boolean;
  /** Entries are streamed to it: it needs no snapshot and no search for where logs agree. */
  readonly replicates: boolean;
}

/** Undefined on who does not lead, and for who is no member. */
export function memberProgress(
  node: RawNode,
  activity: PeerActivity,
  raftId: number,
): MemberProgress | undefined {
  const found = node.isLeader ? node.progress(raftId) : undefined;
  if (!found) return undefined;
  return {
    match: found.match,
    lastIndex: node.lastIndex,
    isActive: raftId === node.id || activity.isActive(raftId),
    replicates: found.state === ProgressState.Replicate,
  };
}

/** The voter that a leader hands over to: active, and nearest to the leader's log. */
export function bestSuccessor(node: RawNode, activity: PeerActivity): number {
  const { config, progress } = node.status();
  let best = NONE;
  let bestMatch = -1;
  for (const peer of progress) {
    const fits =
      peer.id !== node.id && activity.isActive(peer.id) && config.voters.includes(peer.id);
    if (!fits || peer.match <= bestMatch) continue;
    best = peer.id;
    bestMatch = peer.match;
  }
  return best;
}

/**
 * Who is out of the group, and was not told so yet, stays to answer votes: those that are left may
 * not know. It asks them whether it may go.
 */
export function askToGo(node: RawNode, peers: { ask(raftId: number): void }): void {
  const state = node.confState();
  if (isMember(state, node.id)) return;
  for (const raftId of state.voters) peers.ask(raftId);
}

/** It leads, or was spoken to by the leader within an election timeout. */
export function hearsLeader(node: RawNode, activity: PeerActivity): boolean {
  return node.isLeader || (node.lead !== NONE && activity.isActive(node.lead));
}

/** Proposes one change in `term`; resolves when it is applied here. `sent`: after it was taken. */
export async function changeMembers(
  node: RawNode,
  proposals: Proposals,
  term: number,
  change: MemberChange,
  expected: ConfState | undefined,
  sent: () => void,
): Promise<void> {
  if (expected && JSON.stringify(expected) !== JSON.stringify(node.confState())) {
    throw new SwarmError('VERSION_CONFLICT', 'the managers of this cluster changed meanwhile');
  }
  const taken = node.proposeConfChange(toConfChange(change), term);
  sent();
  if (!taken.ok) {
    const reason = taken.error === 'refused' ? taken.reason : taken.error;
    throw new SwarmError('DROPPED', `the change of managers was not taken: ${reason}`);
  }
  const result = await proposals.add(taken.index, term);
  if (result.kind === 'applied') return;
  throw new SwarmError('MAYBE_DONE', 'leadership was lost while the managers changed');
}
