import { type Task, TaskState } from '../../../proto/index.ts';
import { slotKey } from '../../store/schema.ts';
import { byAge, type Entry, isWanted } from '../task-facts.ts';
import type { Turn } from '../turn.ts';

/** The tasks of one slot (replicated) or of one node (global), oldest first. */
export interface Slot {
  readonly key: string;
  /** 0 for a global service. */
  readonly number: number;
  /** Only for a global service. */
  readonly nodeId: string;
  readonly entries: Entry[];
}

/** `serviceId/number` or `serviceId@nodeId`. */
export function parseSlotKey(key: string): { serviceId: string; number: number; nodeId: string } {
  const slash = key.indexOf('/');
  if (slash >= 0)
    return { serviceId: key.slice(0, slash), number: Number(key.slice(slash + 1)), nodeId: '' };
  const at = key.indexOf('@');
  return { serviceId: key.slice(0, at), number: 0, nodeId: key.slice(at + 1) };
}

export function loadSlot(turn: Turn, key: string): Slot {
  const { number, nodeId } = parseSlotKey(key);
  const entries: Entry[] = [];
  for (const task of turn.draft.table('task').by('slot', key)) entries.push(turn.entry(task));
  if (entries.length > 1) entries.sort(byAge);
  return { key, number, nodeId, entries };
}

/** All slots of a service, by key. */
export function loadSlots(turn: Turn, serviceId: string): Map<string, Slot> {
  const slots = new Map<string, Slot>();
  for (const task of turn.draft.table('task').by('service', serviceId)) {
    const key = slotKey(task);
    const entry = turn.entry(task);
    const slot = slots.get(key);
    if (slot !== undefined) slot.entries.push(entry);
    else slots.set(key, emptySlot(key, task, entry));
  }
  for (const slot of slots.values()) if (slot.entries.length > 1) slot.entries.sort(byAge);
  return slots;
}

function emptySlot(key: string, task: Task, entry: Entry): Slot {
  const nodeId = task.slot > 0 ? '' : task.nodeId;
  return { key, number: task.slot, nodeId, entries: [entry] };
}

/** The task that stands for the slot: the newest that is wanted. */
export function headOf(slot: Slot): Entry | undefined {
  return slot.entries.findLast((entry) => isWanted(entry.task));
}

/**
 * The last task of a slot that has ended and is not started again (attempts used up, or completed).
 * It keeps the slot: only a new revision or `--force` puts another in its place.
 */
export function heldOf(slot: Slot): Entry | undefined {
  const last = slot.entries.at(-1);
  if (last === undefined || last.task.draining) return undefined;
  return last.task.desiredState === TaskState.SHUTDOWN ? last : undefined;
}

/** False where a slot was given up: of what drains in it nothing is to be left. */
export function isOccupied(slot: Slot): boolean {
  return headOf(slot) !== undefined || heldOf(slot) !== undefined;
}
