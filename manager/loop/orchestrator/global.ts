import { TaskState } from '../../../proto/index.ts';
import { blockedBecause } from '../node-condition.ts';
import { unmetWish } from '../node-wishes.ts';
import { FRESH_MAX } from './replicated.ts';
import { vacate } from './retire.ts';
import type { Scope } from './scope.ts';
import { isOccupied, type Slot } from './slot.ts';

/** One task on every node that is a member, active, and as the service wishes it. */
export function cover(scope: Scope, slots: Map<string, Slot>): void {
  for (const slot of slots.values()) coverNode(scope, slot);
  for (const node of scope.turn.draft.table('node').all()) {
    const key = `${scope.id}@${node.id}`;
    if (slots.has(key)) continue;
    if (scope.turn.isFull() || scope.turn.fresh.size >= FRESH_MAX) {
      scope.turn.left.services.add(scope.id);
      return;
    }
    const slot: Slot = { key, number: 0, nodeId: node.id, entries: [] };
    coverNode(scope, slot);
    if (slot.entries.length > 0) slots.set(key, slot);
  }
}

/** The same for one node. A task on a silent node stays: nothing else can take its place. */
export function coverNode(scope: Scope, slot: Slot): void {
  const { turn } = scope;
  const { nodeId } = slot;
  switch (turn.condition(nodeId)) {
    case 'gone':
      vacate(scope, slot, 'its node was removed');
      return;
    case 'drain':
      vacate(scope, slot, 'its node is drained');
      return;
    case 'leaving':
      vacate(scope, slot, 'its host shuts down');
      return;
    case 'lost':
    case 'waits':
      return;
    default:
  }
  const unmet = unmetOn(scope, nodeId);
  if (unmet !== undefined) {
    vacate(scope, slot, `its node ${unmet}`);
    return;
  }
  if (isOccupied(slot) || blockedBecause(turn.draft, nodeId) !== '') return;
  // What is left of a task before (its node was drained) stops first.
  if (slot.entries.length > 0) return;
  slot.entries.push(
    turn.create({
      serviceId: scope.id,
      nodeId,
      revision: scope.running.revision,
      desiredState: TaskState.RUNNING,
    }),
  );
}

function unmetOn(scope: Scope, nodeId: string): string | undefined {
  const node = scope.turn.draft.table('node').get(nodeId);
  if (node === undefined) return 'was removed';
  return unmetWish(scope.running, node, scope.turn.draft.table('nodeStatus').get(nodeId));
}
