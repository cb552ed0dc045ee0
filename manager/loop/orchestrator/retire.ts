import { TaskState } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { type Entry, isAssigned, isFinal, isOver, isRunning } from '../task-facts.ts';
import type { Turn } from '../turn.ts';
import type { Scope } from './scope.ts';
import { isOccupied, type Slot } from './slot.ts';

/**
 * Begins to end a task. One that gets connections through published ports or on networks is first
 * taken out of load balancing (`draining`); the order to stop follows when all nodes have done so.
 */
export function retire(scope: Scope, slot: Slot, entry: Entry, why: string): void {
  const { turn } = scope;
  if (turn.fresh.has(entry)) {
    turn.remove(entry);
    slot.entries.splice(slot.entries.indexOf(entry), 1);
    return;
  }
  if (entry.task.draining) return;
  if (getsConnections(scope, entry)) {
    const drainUntilMs = turn.now + DEFAULTS.drainAckMs;
    turn.change(entry, { draining: true, drainUntilMs, endReason: why });
    turn.slotWake(entry, drainUntilMs);
  } else turn.desire(entry, TaskState.SHUTDOWN, why);
}

function getsConnections(scope: Scope, entry: Entry): boolean {
  if (!isRunning(entry) || !isAssigned(entry.task) || scope.turn.isOutOfReach(entry)) return false;
  const facts = scope.factsOf(entry);
  const isReached = facts.ports.length > 0 || entry.task.attachments.length > 0;
  return isReached && (facts.task.ready === null || entry.status!.ready);
}

/** Orders the stop of drained tasks whose draining is acknowledged, or was waited for long enough. */
export function settleDraining(turn: Turn, slot: Slot): void {
  for (const entry of slot.entries) {
    if (!entry.task.draining) continue;
    const settled =
      isFinal(entry) ||
      turn.isOutOfReach(entry) ||
      turn.input.acknowledged.has(entry.task.id) ||
      turn.now >= entry.task.drainUntilMs;
    if (settled) turn.desire(entry, isOccupied(slot) ? TaskState.SHUTDOWN : TaskState.REMOVE);
    else turn.slotWake(entry, entry.task.drainUntilMs);
  }
}

/** Gives a slot up: what runs in it ends, and nothing of it is kept. */
export function vacate(scope: Scope, slot: Slot, why: string): void {
  for (const entry of [...slot.entries]) {
    const { desiredState, draining } = entry.task;
    if (draining) continue;
    if (desiredState <= TaskState.RUNNING && getsConnections(scope, entry))
      retire(scope, slot, entry, why);
    else if (desiredState < TaskState.REMOVE)
      scope.turn.desire(entry, TaskState.REMOVE, entry.task.endReason || why);
  }
  sweep(scope.turn, slot);
}

/** Deletes tasks that are to be removed and of which nothing runs that anybody could stop. */
export function sweep(turn: Turn, slot: Slot): void {
  for (let at = slot.entries.length - 1; at >= 0; at--) {
    const entry = slot.entries[at]!;
    if (entry.task.desiredState !== TaskState.REMOVE) continue;
    if (!isOver(entry) && !turn.isOutOfReach(entry)) continue;
    turn.remove(entry);
    slot.entries.splice(at, 1);
  }
}

/** Tasks of nodes that are no members any more, or silent for a day, are nobody's. */
export function orphan(turn: Turn, slot: Slot): void {
  for (const entry of slot.entries) {
    if (!isAssigned(entry.task) || isFinal(entry)) continue;
    const { nodeId, desiredState } = entry.task;
    const condition = turn.condition(nodeId);
    if (condition !== 'gone' && (condition !== 'lost' || !silentForADay(turn, nodeId))) continue;
    if (desiredState <= TaskState.RUNNING) continue;
    turn.change(entry, { state: TaskState.ORPHANED, draining: false });
  }
}

function silentForADay(turn: Turn, nodeId: string): boolean {
  const sinceMs = turn.draft.table('nodeStatus').get(nodeId)?.sinceMs ?? turn.now;
  return turn.now >= sinceMs + DEFAULTS.orphanMs;
}
