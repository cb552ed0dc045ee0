import { type Service, type Task, TaskState, type TaskStatus } from '../../proto/index.ts';
import { byAge, type Entry, isWanted } from '../loop/task-facts.ts';
import { slotKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import { isFinal } from './specs.ts';

/** The tasks of one slot (replicated) or of one node (global), as people ask about it. */
export interface SlotState {
  readonly number: number;
  /** Oldest first; never empty. */
  readonly entries: readonly Entry[];
  /** The newest that is wanted. */
  readonly head: Entry | undefined;
  /** The newest, ended, when nothing is started in its place: the restart policy says no. */
  readonly held: Entry | undefined;
  /** The newest that ended by itself and not well. */
  readonly failed: Entry | undefined;
  /** The head runs and gets connections. */
  readonly serving: boolean;
}

/** Slots of a service in order; those that were scaled away count no more. */
export function slotsOf(view: View, service: Service): SlotState[] {
  const bySlot = new Map<string, Entry[]>();
  for (const task of view.table('task').by('service', service.id)) {
    const entry = { task, status: view.table('taskStatus').get(task.id) };
    const entries = bySlot.get(slotKey(task)) ?? [];
    entries.push(entry);
    bySlot.set(slotKey(task), entries);
  }
  const slots = [...bySlot.values()].map(slotOf);
  const wanted = slots.filter((slot) => slot.head !== undefined || slot.held !== undefined);
  return wanted.sort((a, b) => a.number - b.number || compareNodes(a, b));
}

function slotOf(entries: Entry[]): SlotState {
  entries.sort(byAge);
  const newest = entries.at(-1)!;
  const head = entries.findLast(({ task }) => isWanted(task));
  const { task } = newest;
  const held = task.desiredState === TaskState.SHUTDOWN && !task.draining && head === undefined;
  return {
    number: task.slot,
    entries,
    head,
    held: held ? newest : undefined,
    failed: entries.findLast(endedBadly),
    serving: head !== undefined && isServing(head.task, head.status),
  };
}

function endedBadly({ status }: Entry): boolean {
  return status?.state === TaskState.FAILED || status?.state === TaskState.REJECTED;
}

function compareNodes(a: SlotState, b: SlotState): number {
  return a.entries[0]!.task.nodeId < b.entries[0]!.task.nodeId ? -1 : 1;
}

/** It is on a node and has not ended, as far as anybody knows. */
export function isAlive(task: Task, status: TaskStatus | undefined): boolean {
  const state = Math.max(status?.state ?? 0, task.state);
  return state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
}

/** Runs, and load balancing may use it. */
export function isServing(task: Task, status: TaskStatus | undefined): boolean {
  return status?.state === TaskState.RUNNING && status.ready && !isFinal(task.desiredState);
}
