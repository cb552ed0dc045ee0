import { TaskState } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { isUnreachable } from '../node-condition.ts';
import { groupKey } from '../node-index.ts';
import { unmetWish } from '../node-wishes.ts';
import { type Entry, isAssigned, isFinal, isOver, isWanted } from '../task-facts.ts';
import { afterEnd, reschedule } from './replace.ts';
import { orphan, retire, settleDraining, sweep } from './retire.ts';
import { isPaused, isRolling } from './rollout-state.ts';
import type { Scope } from './scope.ts';
import { headOf, type Slot } from './slot.ts';

/** A task is waited for this much longer than its own drain time and grace. */
const STOP_SLACK_MS = 60_000;

/** Brings one slot forward: what follows from its tasks, their agents' words and their nodes. */
export function reconcileSlot(scope: Scope, slot: Slot): void {
  const { turn } = scope;
  settleDraining(turn, slot);
  const head = headOf(slot);
  if (head !== undefined) {
    endPredecessors(scope, slot, head);
    if (isFinal(head)) afterEnd(scope, slot, head);
    else if (!leavesItsNode(scope, slot, head)) goOn(scope, slot, head);
  }
  orphan(turn, slot);
  sweep(turn, slot);
  if (slot.entries.length > 0) turn.histories.push({ service: scope.service, tasks: slot.entries });
}

/** In start-first order the old task runs on until the new one is up. */
function endPredecessors(scope: Scope, slot: Slot, head: Entry): void {
  const { turn } = scope;
  for (const entry of [...slot.entries]) {
    if (entry === head || !isWanted(entry.task)) continue;
    const condition = isAssigned(entry.task) ? turn.condition(entry.task.nodeId) : 'ok';
    const why = entry.task.endReason || 'replaced';
    if (isFinal(entry) || isUnreachable(condition)) turn.desire(entry, TaskState.SHUTDOWN, why);
    else if (scope.isUp(head)) retire(scope, slot, entry, why);
    else if (condition === 'leaving') retire(scope, slot, entry, 'its node shuts down');
    else if (condition === 'drain') drainPredecessor(scope, slot, head, entry);
  }
}

/** A drained node gets empty, also when the new task finds no place. */
function drainPredecessor(scope: Scope, slot: Slot, head: Entry, old: Entry): void {
  const { turn } = scope;
  const untilMs = head.task.createdMs + STOP_SLACK_MS;
  const stuck = !isAssigned(head.task) && head.task.state >= TaskState.PENDING;
  if (stuck || turn.now >= untilMs) retire(scope, slot, old, 'its node is drained');
  else turn.wake(`k:${slot.key}`, untilMs);
}

/** True when the head is on its way to another node. */
function leavesItsNode(scope: Scope, slot: Slot, head: Entry): boolean {
  if (!isAssigned(head.task) || scope.isGlobal) return false;
  const name = scope.turn.nodeName(head.task.nodeId);
  switch (scope.turn.condition(head.task.nodeId)) {
    case 'lost':
      reschedule(scope, slot, head, `node ${name} is down`);
      return true;
    case 'gone':
      reschedule(scope, slot, head, 'its node was removed');
      return true;
    case 'leaving':
      reschedule(scope, slot, head, `the host of node ${name} shuts down`);
      return true;
    case 'drain':
      reschedule(scope, slot, head, `node ${name} is drained`);
      return true;
    case 'ok': {
      const unmet = unmetWishOf(scope, head);
      if (unmet === undefined) return false;
      reschedule(scope, slot, head, `node ${name} ${unmet}`);
      return true;
    }
    default:
      return false;
  }
}

function unmetWishOf(scope: Scope, head: Entry): string | undefined {
  const node = scope.turn.draft.table('node').get(head.task.nodeId);
  if (node === undefined) return undefined;
  const status = scope.turn.draft.table('nodeStatus').get(node.id);
  return unmetWish(scope.factsOf(head), node, status);
}

/** A head that stays where it is: it may start now, or be for a newer revision of equal work. */
function goOn(scope: Scope, slot: Slot, head: Entry): void {
  const { turn } = scope;
  if (!isAssigned(head.task) && !turn.fresh.has(head)) adoptRevision(scope, head);
  if (head.task.desiredState !== TaskState.READY) return;
  const dueMs = Math.max(head.task.startAfterMs, stoppedByMs(scope, slot, head));
  if (turn.now < dueMs) {
    if (Number.isFinite(dueMs)) turn.wake(`k:${slot.key}`, dueMs);
    return;
  }
  turn.change(head, {
    desiredState: TaskState.RUNNING,
    desiredMs: turn.now,
    ...(isAssigned(head.task) ? { pendingReason: '' } : {}),
  });
  if (!isAssigned(head.task)) turn.dirty.groups.add(groupKey(head.task));
}

/** A task without a node takes up the newest revision that asks for the same work. */
function adoptRevision(scope: Scope, head: Entry): void {
  const { running } = scope;
  const { rollout } = scope.state;
  if (head.task.revision === running.revision || isRolling(rollout) || isPaused(rollout)) return;
  if (scope.factsOf(head).work !== running.work) return;
  scope.turn.change(head, { revision: running.revision });
  scope.turn.dirty.placement = true;
}

/** When the tasks before it have surely stopped: 0 when they have; infinite: somebody will say. */
function stoppedByMs(scope: Scope, slot: Slot, head: Entry): number {
  const { turn } = scope;
  let byMs = 0;
  for (const entry of slot.entries) {
    if (entry === head || isWanted(entry.task) || isOver(entry)) continue;
    if (turn.isOutOfReach(entry)) continue;
    if (entry.task.draining) return Number.POSITIVE_INFINITY;
    const { task } = scope.factsOf(entry);
    const graceMs =
      task.process?.stopGraceMs || task.container?.stopGraceMs || DEFAULTS.stopGraceMs;
    const drainMs = task.drainTimeMs || DEFAULTS.drainTimeMs;
    byMs = Math.max(byMs, entry.task.desiredMs + drainMs + graceMs + STOP_SLACK_MS);
  }
  return byMs;
}
