/**
 * Trace text for memberships, progress and changes. The words and their order are those of etcd's
 * published test scripts, so that the scripts can be compared byte for byte.
 */
import type { Progress } from './progress.ts';
import { ProgressState } from './progress.ts';
import type { Membership } from './tracker.ts';
import type { ConfChange, ConfChangeSingle, NodeId } from './types.ts';
import {
  ConfChangeTransition,
  ConfChangeType,
  EntryType,
  MessageType,
  StateType,
} from './types.ts';

const MESSAGE_NAMES = namesOf(MessageType, 'Msg');
const STATE_NAMES = namesOf(StateType, 'State');
const PROGRESS_NAMES = namesOf(ProgressState, 'State');
const ENTRY_NAMES = namesOf(EntryType, 'Entry');
const CHANGE_NAMES = namesOf(ConfChangeType, 'ConfChange').map((name) =>
  name === 'ConfChangeAddLearner' ? 'ConfChangeAddLearnerNode' : name,
);
const TRANSITION_NAMES = namesOf(ConfChangeTransition, 'ConfChangeTransition');

function namesOf(values: Readonly<Record<string, number>>, prefix: string): readonly string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(values)) names[value] = prefix + name;
  return names;
}

export function messageTypeName(type: MessageType): string {
  return MESSAGE_NAMES[type] ?? `Msg(${type})`;
}

export function stateName(state: StateType): string {
  return STATE_NAMES[state]!;
}

export function entryTypeName(type: EntryType): string {
  return ENTRY_NAMES[type] ?? `Entry(${type})`;
}

export function hex(id: NodeId): string {
  return id.toString(16);
}

function describeMajority(voters: readonly NodeId[]): string {
  return `(${voters.join(' ')})`;
}

export function describeMembership(m: Membership): string {
  let text = `voters=${describeMajority(m.incoming)}`;
  if (m.outgoing.length > 0) text += `&&${describeMajority(m.outgoing)}`;
  if (m.learners.length > 0) text += ` learners=${describeMajority(m.learners)}`;
  if (m.learnersNext.length > 0) text += ` learners_next=${describeMajority(m.learnersNext)}`;
  if (m.autoLeave) text += ' autoleave';
  return text;
}

export function describeProgress(p: Progress): string {
  let text = `${PROGRESS_NAMES[p.state]} match=${p.match} next=${p.next}`;
  if (p.isLearner) text += ' learner';
  if (p.isPaused()) text += ' paused';
  if (p.pendingSnapshot > 0) text += ` pendingSnap=${p.pendingSnapshot}`;
  if (!p.recentActive) text += ' inactive';
  if (p.inflights.count > 0) {
    text += ` inflight=${p.inflights.count}`;
    if (p.inflights.full()) text += '[full]';
  }
  return text;
}

const CHANGE_LETTERS: readonly string[] = ['v', 'r', 'u', 'l'];

/** Short form: `v1 l2 r3 u4`. */
export function describeChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map((c) => `${CHANGE_LETTERS[c.type]}${c.nodeId}`).join(' ');
}

/** Long form. Depends on how Go prints the struct: the scripts' only such line is of this. */
export function describeConfChange(change: ConfChange): string {
  const parts = [`transition:${TRANSITION_NAMES[change.transition]}`];
  for (const c of change.changes) {
    parts.push(`changes:{type:${CHANGE_NAMES[c.type]} node_id:${c.nodeId}}`);
  }
  if (change.context.length > 0) parts.push(`context:${change.context.length} bytes`);
  return parts.join(' ');
}
