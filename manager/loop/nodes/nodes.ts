import { Availability, Liveness, NodeState } from '../../../proto/index.ts';
import { DEFAULTS, LIMITS } from '../../../shared/limits.ts';
import { slotKey } from '../../store/schema.ts';
import { nodeCondition } from '../node-condition.ts';
import type { Turn } from '../turn.ts';
import { brakeFor } from './brake.ts';
import { settleHeld } from './held.ts';

/** Stage 1: what liveness and availability of nodes ask of the tasks on them. */
export function nodesStage(turn: Turn): void {
  for (const id of turn.dirty.nodes) {
    if (turn.isFull()) {
      turn.left.nodes.add(id);
      continue;
    }
    judge(turn, id);
    markTasks(turn, id);
    turn.dirty.placement = true;
  }
}

/** Brings `nodeState` up to date with the node. */
function judge(turn: Turn, id: string): void {
  const { draft, now } = turn;
  const node = draft.table('node').get(id);
  const before = draft.table('nodeState').get(id);
  if (node === undefined) {
    if (before !== undefined) bury(turn, before);
    return;
  }
  const status = draft.table('nodeStatus').get(id);
  const drained = node.availability === Availability.DRAIN;
  const drainedMs = drained ? before?.drainedMs || now : 0;
  const base = before ?? NodeState.create({ id });
  let after = NodeState.with(base, { drainedMs, removedMs: 0 });
  const liveness = status?.liveness ?? Liveness.UNKNOWN;
  if (liveness === Liveness.DOWN) after = whenDown(turn, after);
  else if (liveness === Liveness.LEAVING) after = released(after, after.lostMs || now);
  else if (liveness === Liveness.READY) after = released(after, 0);
  after = settleHeld(turn, base, after);
  if (before === undefined ? isPlain(after) : isSame(before, after)) return;
  draft.put('nodeState', after);
  turn.addresses.nodeChanged(id, after);
  if (drained && !before?.drainedMs)
    turn.tell('node', 'drain', id, node.name, 'its tasks move to other nodes');
}

/** A removed node's index is in the names of devices and addresses elsewhere: it rests for a day. */
function bury(turn: Turn, before: NodeState): void {
  const { id, index } = before;
  const removedMs = before.removedMs || turn.now;
  const dueMs = removedMs + LIMITS.nodeIndexRestMs;
  if (index === 0 || turn.now >= dueMs) {
    turn.draft.delete('nodeState', id);
    turn.addresses.nodeChanged(id, undefined);
    return;
  }
  turn.wake(`n:${id}`, dueMs);
  if (before.removedMs > 0) return;
  const after = NodeState.create({ id, index, removedMs });
  turn.draft.put('nodeState', after);
  turn.addresses.nodeChanged(id, after);
}

function whenDown(turn: Turn, state: NodeState): NodeState {
  const { draft, now } = turn;
  const { id } = state;
  const name = turn.nodeName(id);
  const sinceMs = draft.table('nodeStatus').get(id)?.sinceMs ?? now;
  if (state.lostMs > 0) {
    if (now < sinceMs + DEFAULTS.orphanMs) turn.wake(`n:${id}`, sinceMs + DEFAULTS.orphanMs);
    return state;
  }
  const brake = brakeFor(draft, id, state, now);
  if (brake === undefined) {
    turn.tell('node', 'lost', id, name, 'its tasks are replaced elsewhere');
    turn.wake(`n:${id}`, sinceMs + DEFAULTS.orphanMs);
    return released(state, now);
  }
  turn.wake(`n:${id}`, brake.untilMs);
  if (state.brake === '') turn.tell('node', 'brake', id, name, brake.text);
  return NodeState.with(state, { brake: brake.text, brakeUntilMs: brake.untilMs });
}

function released(state: NodeState, lostMs: number): NodeState {
  return NodeState.with(state, { lostMs, brake: '', brakeUntilMs: 0 });
}

function isPlain(state: NodeState): boolean {
  return state.drainedMs === 0 && state.brake === '' && state.lostMs === 0;
}

function isSame(a: NodeState, b: NodeState): boolean {
  return (
    a.drainedMs === b.drainedMs &&
    a.brake === b.brake &&
    a.brakeUntilMs === b.brakeUntilMs &&
    a.lostMs === b.lostMs &&
    a.removedMs === b.removedMs &&
    a.held.length === b.held.length &&
    a.heldUntilMs === b.heldUntilMs
  );
}

/** The slots of its tasks, and of global services that may want one there, are looked at. */
function markTasks(turn: Turn, id: string): void {
  for (const task of turn.draft.table('task').by('node', id)) {
    turn.dirty.slots.add(slotKey(task));
    // One that is being removed does not wait for tasks of a node that is lost.
    for (const { networkId } of task.attachments) turn.dirty.networks.add(networkId);
  }
  if (nodeCondition(turn.draft, id) !== 'ok') return;
  for (const serviceId of turn.input.globalServices) turn.dirty.slots.add(`${serviceId}@${id}`);
}
