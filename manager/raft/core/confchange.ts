/**
 * How a membership turns into the next one (dissertation chapter 4). Pure: takes a membership with
 * its progress and gives new ones, or says why not; what it was given stays as it was.
 *
 * Simple: at most one voter is added or removed, so old and new majorities overlap. Joint: any
 * change; old and new majority must both agree until the joint state is left.
 */
import { assert, unreachable } from '../../../shared/assert.ts';
import type { Progress } from './progress.ts';
import { sortIds } from './quorum.ts';
import type { Membership, ProgressMap, Tracker } from './tracker.ts';
import { checkMembership, NO_MEMBERS } from './tracker.ts';
import type { ConfChange, ConfChangeSingle, ConfState, NodeId } from './types.ts';
import { ConfChangeTransition, ConfChangeType, NONE } from './types.ts';

export type ProgressFactory = Pick<Tracker, 'newProgress'>;

export interface Changer {
  readonly membership: Membership;
  readonly progress: ProgressMap;
  readonly factory: ProgressFactory;
  /** The leader's last index: where sending to a new member starts (from a probe backwards). */
  readonly lastIndex: number;
}

/** On success a membership with its progress; else one sentence without a full stop. */
export type ChangeResult =
  | { readonly ok: true; readonly membership: Membership; readonly progress: ProgressMap }
  | { readonly ok: false; readonly reason: string };

/** A membership while it is being changed. */
interface Draft {
  readonly changer: Changer;
  readonly incoming: Set<NodeId>;
  readonly outgoing: Set<NodeId>;
  readonly learners: Set<NodeId>;
  readonly learnersNext: Set<NodeId>;
  readonly progress: Map<NodeId, Progress>;
  autoLeave: boolean;
}

/** An empty change without a wish for the joint way asks to leave the joint state. */
export function leavesJoint(change: ConfChange): boolean {
  return change.transition === ConfChangeTransition.Auto && change.changes.length === 0;
}

/** Whether the change takes the joint way, and if so whether it is left automatically. */
function entersJoint(change: ConfChange): { joint: boolean; autoLeave: boolean } {
  if (change.transition === ConfChangeTransition.Auto && change.changes.length <= 1) {
    return { joint: false, autoLeave: false };
  }
  return { joint: true, autoLeave: change.transition !== ConfChangeTransition.JointExplicit };
}

/** Whichever of the three ways the change asks for. */
export function changeMembership(changer: Changer, change: ConfChange): ChangeResult {
  if (leavesJoint(change)) return leaveJoint(changer);
  const { joint, autoLeave } = entersJoint(change);
  if (joint) return enterJoint(changer, autoLeave, change.changes);
  return simpleChange(changer, change.changes);
}

export function enterJoint(
  changer: Changer,
  autoLeave: boolean,
  changes: readonly ConfChangeSingle[],
): ChangeResult {
  const d = draft(changer);
  if (d.outgoing.size > 0) return refuse('config is already joint');
  // The first voter of all is added by a simple change: there is no old majority to join with.
  if (d.incoming.size === 0) return refuse("can't make a zero-voter config joint");
  for (const id of d.incoming) d.outgoing.add(id);
  const reason = applyAll(d, changes);
  if (reason !== '') return refuse(reason);
  d.autoLeave = autoLeave;
  return finish(d);
}

export function leaveJoint(changer: Changer): ChangeResult {
  const d = draft(changer);
  if (d.outgoing.size === 0) return refuse("can't leave a non-joint config");
  for (const id of d.learnersNext) {
    d.learners.add(id);
    own(d, id).isLearner = true;
  }
  d.learnersNext.clear();
  for (const id of d.outgoing) {
    if (!d.incoming.has(id) && !d.learners.has(id)) d.progress.delete(id);
  }
  d.outgoing.clear();
  d.autoLeave = false;
  return finish(d);
}

export function simpleChange(changer: Changer, changes: readonly ConfChangeSingle[]): ChangeResult {
  const d = draft(changer);
  if (d.outgoing.size > 0) return refuse("can't apply simple config change in joint config");
  const reason = applyAll(d, changes);
  if (reason !== '') return refuse(reason);
  if (votersChanged(changer.membership.incoming, d.incoming) > 1) {
    return refuse('more than one voter changed without entering joint config');
  }
  return finish(d);
}

/** Builds the membership of a snapshot or of storage, from nothing. */
export function restoreMembership(
  cs: ConfState,
  factory: ProgressFactory,
  lastIndex: number,
): { membership: Membership; progress: ProgressMap } {
  let at = { membership: NO_MEMBERS, progress: new Map() as ProgressMap };
  const step = (next: ChangeResult): void => {
    assert(next.ok, 'a persisted membership cannot be built');
    at = next;
  };
  const add = (id: NodeId) => ({ type: ConfChangeType.AddNode, nodeId: id });
  const learn = (id: NodeId) => ({ type: ConfChangeType.AddLearner, nodeId: id });
  const remove = (id: NodeId) => ({ type: ConfChangeType.RemoveNode, nodeId: id });
  const incoming = [
    ...cs.votersOutgoing.map(remove),
    ...cs.voters.map(add),
    ...cs.learners.map(learn),
    ...cs.learnersNext.map(learn),
  ];
  const simple = (c: ConfChangeSingle) => step(simpleChange({ ...at, factory, lastIndex }, [c]));
  // The outgoing half comes first: entering the joint state then makes it the old majority.
  if (cs.votersOutgoing.length === 0) for (const c of incoming) simple(c);
  else {
    for (const id of cs.votersOutgoing) simple(add(id));
    step(enterJoint({ ...at, factory, lastIndex }, cs.autoLeave, incoming));
  }
  return at;
}

function refuse(reason: string): ChangeResult {
  return { ok: false, reason };
}

function draft(changer: Changer): Draft {
  const m = changer.membership;
  checkMembership(m, changer.progress);
  return {
    changer,
    incoming: new Set(m.incoming),
    outgoing: new Set(m.outgoing),
    learners: new Set(m.learners),
    learnersNext: new Set(m.learnersNext),
    progress: new Map(changer.progress),
    autoLeave: m.autoLeave,
  };
}

function finish(d: Draft): ChangeResult {
  const membership: Membership = {
    incoming: sortIds([...d.incoming]),
    outgoing: sortIds([...d.outgoing]),
    learners: sortIds([...d.learners]),
    learnersNext: sortIds([...d.learnersNext]),
    autoLeave: d.autoLeave,
  };
  checkMembership(membership, d.progress);
  return { ok: true, membership, progress: d.progress };
}

/** Empty on success. */
function applyAll(d: Draft, changes: readonly ConfChangeSingle[]): string {
  for (const { type, nodeId } of changes) {
    // A change that was emptied after it was proposed names nobody.
    if (nodeId === NONE) continue;
    applyOne(d, type, nodeId);
  }
  return d.incoming.size === 0 ? 'removed all voters' : '';
}

function applyOne(d: Draft, type: ConfChangeType, id: NodeId): void {
  switch (type) {
    case ConfChangeType.AddNode:
      makeVoter(d, id);
      break;
    case ConfChangeType.AddLearner:
      makeLearner(d, id);
      break;
    case ConfChangeType.RemoveNode:
      removeMember(d, id);
      break;
    case ConfChangeType.UpdateNode:
      // A way for the driver to carry a new address; nothing to the core.
      break;
    default:
      unreachable(type, 'kind of configuration change');
  }
}

function makeVoter(d: Draft, id: NodeId): void {
  if (!d.progress.has(id)) addMember(d, id, false);
  else own(d, id).isLearner = false;
  d.incoming.add(id);
  d.learners.delete(id);
  d.learnersNext.delete(id);
}

/** A voter of the outgoing half stays one until the joint state is left (`learnersNext`). */
function makeLearner(d: Draft, id: NodeId): void {
  const existing = d.progress.get(id);
  if (existing === undefined) {
    addMember(d, id, true);
    d.learners.add(id);
    return;
  }
  if (existing.isLearner) return;
  removeMember(d, id);
  // Removed as a voter; what is known of its log stays known.
  d.progress.set(id, existing);
  if (d.outgoing.has(id)) {
    d.learnersNext.add(id);
    return;
  }
  own(d, id).isLearner = true;
  d.learners.add(id);
}

function removeMember(d: Draft, id: NodeId): void {
  d.incoming.delete(id);
  d.learners.delete(id);
  d.learnersNext.delete(id);
  if (!d.outgoing.has(id)) d.progress.delete(id);
}

function addMember(d: Draft, id: NodeId, isLearner: boolean): void {
  // Sending begins at the end of the log: the first refusal says where the new member stands.
  const next = Math.max(d.changer.lastIndex, 1);
  const progress = d.changer.factory.newProgress(id, next, isLearner);
  // Counted as heard from, else a quorum check right after the change would depose the leader.
  progress.recentActive = true;
  d.progress.set(id, progress);
}

/** A progress that may be written to without touching the membership in force. */
function own(d: Draft, id: NodeId): Progress {
  const current = d.progress.get(id);
  assert(current !== undefined, `member ${id} has no progress`);
  if (current !== d.changer.progress.get(id)) return current;
  const copy = current.clone();
  d.progress.set(id, copy);
  return copy;
}

function votersChanged(before: readonly NodeId[], after: ReadonlySet<NodeId>): number {
  const kept = before.filter((id) => after.has(id)).length;
  return before.length - kept + (after.size - kept);
}
