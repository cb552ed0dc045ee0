import { TaskState } from '../../../proto/index.ts';
import { type Entry, isAssigned, isWanted } from '../task-facts.ts';
import { vacate } from './retire.ts';
import type { Scope } from './scope.ts';
import { headOf, isOccupied, type Slot } from './slot.ts';

/** Makes the number of occupied slots the number of replicas that the user wishes. */
export function scale(scope: Scope, slots: Map<string, Slot>): void {
  const wished = scope.service.spec?.replicas ?? 0;
  const occupied = [...slots.values()].filter(isOccupied);
  if (occupied.length < wished) addSlots(scope, slots, wished - occupied.length);
  else if (occupied.length > wished) removeSlots(scope, occupied, occupied.length - wished);
}

/** The lowest numbers in which nothing runs any more. */
function addSlots(scope: Scope, slots: Map<string, Slot>, count: number): void {
  const { turn } = scope;
  let left = count;
  for (let number = 1; left > 0; number++) {
    const key = `${scope.id}/${number}`;
    const known = slots.get(key);
    if (known !== undefined && known.entries.length > 0) continue;
    if (turn.isFull() || turn.fresh.size >= FRESH_MAX) {
      turn.left.services.add(scope.id);
      return;
    }
    const entry = turn.create({
      serviceId: scope.id,
      slot: number,
      revision: scope.running.revision,
      desiredState: TaskState.RUNNING,
    });
    slots.set(key, { key, number, nodeId: '', entries: [entry] });
    left--;
  }
}

/** As many new tasks as one entry holds: their bytes count only when the scheduler writes them. */
export const FRESH_MAX = 3_000;

/** What does not run first, then from the node that has the most, then the highest numbers. */
function removeSlots(scope: Scope, occupied: readonly Slot[], count: number): void {
  const ranked = occupied.map((slot) => {
    const head = headOf(slot);
    const up = head !== undefined && scope.isUp(head);
    const stale = head !== undefined && head.task.revision !== scope.running.revision;
    return { slot, up, stale, nodeId: nodeOf(head), level: 0 };
  });
  const order = (a: (typeof ranked)[number], b: (typeof ranked)[number]) =>
    Number(b.up) - Number(a.up) ||
    Number(a.stale) - Number(b.stale) ||
    a.slot.number - b.slot.number;
  ranked.sort(order);
  const perNode = new Map<string, number>();
  for (const entry of ranked) {
    entry.level = perNode.get(entry.nodeId) ?? 0;
    perNode.set(entry.nodeId, entry.level + 1);
  }
  ranked.sort(
    (a, b) => Number(a.up) - Number(b.up) || b.level - a.level || b.slot.number - a.slot.number,
  );
  for (const { slot } of ranked.slice(0, count)) {
    if (scope.turn.isFull()) {
      scope.turn.left.services.add(scope.id);
      return;
    }
    vacate(scope, slot, 'scaled down');
  }
}

function nodeOf(head: Entry | undefined): string {
  return head !== undefined && isWanted(head.task) && isAssigned(head.task) ? head.task.nodeId : '';
}
