/**
 * The membership in force. It changes when the entry is applied, not when it is appended (unlike
 * the dissertation's section 4.1), which is safe only with the rules of etcd#7625: one unapplied
 * change at a time (`proposals.ts`) and no campaign before it is applied (`election.ts`).
 */
import { assert } from '../../../shared/assert.ts';
import { changeMembership, restoreMembership } from './confchange.ts';
import { describeMembership, hex } from './describe.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend, maybeCommit, sendAppend } from './replication.ts';
import type { Membership, ProgressMap } from './tracker.ts';
import { toConfState } from './tracker.ts';
import type { ConfChange, ConfState } from './types.ts';
import { NONE, StateType } from './types.ts';

/** Applies a committed change. */
export function applyConfChange(r: Raft, change: ConfChange): ConfState {
  const { membership, progress } = r.tracker;
  const lastIndex = r.log.lastIndex();
  const result = changeMembership({ membership, progress, factory: r.tracker, lastIndex }, change);
  const reason = result.ok ? '' : result.reason;
  assert(result.ok, `a committed configuration change cannot be applied: ${reason}`);
  return install(r, result.membership, result.progress);
}

/** Takes over the membership of storage or of a snapshot. */
export function restoreConfState(r: Raft, cs: ConfState): void {
  const { membership, progress } = restoreMembership(cs, r.tracker, r.log.lastIndex());
  install(r, membership, progress);
}

function install(r: Raft, membership: Membership, progress: ProgressMap): ConfState {
  r.tracker.install(membership, progress);
  r.tracer.info(() => `${hex(r.id)} switched to configuration ${describeMembership(membership)}`);
  const self = r.tracker.get(r.id);
  r.isLearner = self?.isLearner ?? false;
  if (r.state === StateType.Leader) leaderSwitched(r);
  return toConfState(membership);
}

function leaderSwitched(r: Raft): void {
  if (!r.tracker.isVoter(r.id) && r.config.stepDownOnRemoval) {
    // Others can do without it: they have what it has applied (dissertation section 4.2.2).
    r.becomeFollower(r.term, NONE);
    return;
  }
  // No longer a voter, and staying on until it is replaced: it does nothing new.
  if (!r.tracker.isVoter(r.id) || r.tracker.membership.incoming.length === 0) return;
  if (maybeCommit(r)) {
    // A smaller quorum may have had more than the old one.
    broadcastAppend(r);
  } else {
    for (const p of r.tracker.peers) if (p.id !== r.id) sendAppend(r, p, false);
  }
  if (r.leadTransferee !== NONE && !r.tracker.isVoter(r.leadTransferee)) r.leadTransferee = NONE;
}
