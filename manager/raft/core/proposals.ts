/** What a leader does with proposals, and which configuration changes it lets into the log. */
import { assert } from '../../../shared/assert.ts';
import { changeMembership, leavesJoint } from './confchange.ts';
import { decodeConfChange, encodeConfChange } from './confchange-codec.ts';
import { describeConfChange, describeMembership, hex } from './describe.ts';
import type { Raft } from './raft.ts';
import { broadcastAppend } from './replication.ts';
import type { ConfChange, Entry } from './types.ts';
import { ConfChangeTransition, EntryType, NO_BYTES, NONE, StateType } from './types.ts';

export type Proposal = Pick<Entry, 'type' | 'data'>;

const EMPTY: Proposal = Object.freeze({ type: EntryType.Normal, data: NO_BYTES });

/** Why the last configuration change of `proposals` became an empty entry; '' if none did. */
export type Taken = { readonly index: number; readonly refused: string };

/** Appends and sends; null when dropped. Leader only. */
export function takeProposals(r: Raft, proposals: readonly Proposal[]): Taken | null {
  assert(r.state === StateType.Leader, 'only a leader takes proposals');
  assert(proposals.length > 0, 'a proposal has at least one entry');
  // Removed from the membership, it leads only until others can do without it.
  if (r.tracker.get(r.id) === undefined) return null;
  if (r.leadTransferee !== NONE) {
    r.tracer.debug(
      () =>
        `${hex(r.id)} [term ${r.term}] transfer leadership to ${hex(r.leadTransferee)} ` +
        'is in progress; dropping proposal',
    );
    return null;
  }
  const pendingBefore = r.pendingConfIndex;
  const checked = checkConfChanges(r, proposals);
  const entries = r.appendOwn(checked.proposals);
  if (entries === null) {
    r.pendingConfIndex = pendingBefore;
    return null;
  }
  broadcastAppend(r);
  return { index: entries[entries.length - 1]!.index, refused: checked.refused };
}

function checkConfChanges(
  r: Raft,
  proposals: readonly Proposal[],
): { proposals: readonly Proposal[]; refused: string } {
  let checked: Proposal[] | null = null;
  let refused = '';
  for (const [i, p] of proposals.entries()) {
    if (p.type === EntryType.Normal) continue;
    const change = decodeConfChange(p);
    assert(change !== null, 'a malformed configuration change is refused where it enters');
    const reason = r.config.disableConfChangeValidation ? '' : whyNot(r, change);
    if (reason === '') {
      r.pendingConfIndex = r.log.lastIndex() + i + 1;
      continue;
    }
    r.tracer.info(
      () =>
        `${hex(r.id)} ignoring conf change ${describeConfChange(change)} ` +
        `at config ${describeMembership(r.tracker.membership)}: ${reason}`,
    );
    refused = reason;
    checked ??= proposals.slice();
    checked[i] = EMPTY;
  }
  return { proposals: checked ?? proposals, refused };
}

/**
 * '' if the change may enter the log now. Membership takes effect when it is applied, so at most
 * one change may be unapplied, and what is allowed is judged by the applied membership (etcd#7625).
 */
function whyNot(r: Raft, change: ConfChange): string {
  const { applied } = r.log;
  if (r.pendingConfIndex > applied) {
    return `possible unapplied conf change at index ${r.pendingConfIndex} (applied to ${applied})`;
  }
  if (r.tracker.isJoint() && !leavesJoint(change)) {
    return 'must transition out of joint config first';
  }
  if (!r.tracker.isJoint() && leavesJoint(change)) {
    return 'not in joint state; refusing empty conf change';
  }
  // What could not be applied must not be committed: it would stop every member at once.
  const { membership, progress } = r.tracker;
  const lastIndex = r.log.lastIndex();
  const result = changeMembership({ membership, progress, factory: r.tracker, lastIndex }, change);
  return result.ok ? '' : result.reason;
}

/** A leader that may leave the joint state by itself does so once nothing else is pending. */
export function maybeLeaveJoint(r: Raft): void {
  const { membership } = r.tracker;
  if (!membership.autoLeave || r.state !== StateType.Leader) return;
  if (r.log.applied < r.pendingConfIndex) return;
  const change = { transition: ConfChangeTransition.Auto, changes: [], context: NO_BYTES };
  // Of size zero, so that no limit can stop it.
  if (takeProposals(r, [encodeConfChange(change)]) === null) {
    const where = describeMembership(membership);
    r.tracer.debug(
      () =>
        `not initiating automatic transition out of joint configuration ${where}: ` +
        'raft proposal dropped',
    );
    return;
  }
  const where = describeMembership(membership);
  r.tracer.info(() => `initiating automatic transition out of joint configuration ${where}`);
}
