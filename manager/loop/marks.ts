import {
  Liveness,
  type NodeStatus,
  ServiceMode,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { slotKey } from '../store/schema.ts';
import type { AppliedEntry, Change, View } from '../store/view.ts';
import type { Dirty } from './dirty.ts';
import type { NodeIndex } from './node-index.ts';
import type { Specs } from './specs.ts';

/** What the loop keeps of the rows between turns: all of it derived, all of it rebuilt at start. */
export interface Derived {
  readonly index: NodeIndex;
  readonly specs: Specs;
  readonly globalServices: Set<string>;
}

/** Takes up an applied entry: what it changed is dirty, what is derived follows. */
export function mark(view: View, entry: AppliedEntry, derived: Derived, dirty: Dirty): void {
  let freed = false;
  for (const change of entry.changes) freed = markOne(view, change, derived, dirty) || freed;
  if (freed && derived.index.hasPending) dirty.placement = true;
}

/** Everything: at the start of a term, and after all tables were replaced. */
export function markAll(view: View, derived: Derived, dirty: Dirty): void {
  derived.specs.clear();
  derived.index.rebuild(view);
  derived.globalServices.clear();
  for (const service of view.table('service').all()) {
    dirty.services.add(service.id);
    if (service.spec?.mode === ServiceMode.GLOBAL) derived.globalServices.add(service.id);
  }
  for (const state of view.table('serviceState').all()) dirty.services.add(state.id);
  for (const task of view.table('task').all()) dirty.services.add(task.serviceId);
  for (const node of view.table('node').all()) dirty.nodes.add(node.id);
  for (const state of view.table('nodeState').all()) dirty.nodes.add(state.id);
  dirty.placement = true;
}

/** True when something on a node, or a port, became free. */
function markOne(view: View, change: Change, derived: Derived, dirty: Dirty): boolean {
  const { table, id, before, after } = change;
  switch (table) {
    case 'service':
      dirty.services.add(id);
      if (after === undefined) {
        derived.globalServices.delete(id);
        derived.index.serviceGone(id);
      } else if ((after as { spec: { mode: number } | null }).spec?.mode === ServiceMode.GLOBAL)
        derived.globalServices.add(id);
      return false;
    case 'serviceRevision':
      if (after === undefined) derived.specs.drop(id);
      return false;
    case 'serviceState':
      return markPorts(view, change, derived, dirty);
    case 'task':
      // The loop's own rows: what it wrote it need not look at again.
      return derived.index.taskChanged(view, id);
    case 'taskStatus':
      return markStatus(view, change, derived, dirty);
    case 'node':
      derived.index.nodeChanged(view, id);
      dirty.nodes.add(id);
      return false;
    case 'nodeStatus':
      markNodeStatus(view, id, before, after as NodeStatus | undefined, derived, dirty);
      return false;
    default:
      return false;
  }
}

function markStatus(view: View, change: Change, derived: Derived, dirty: Dirty): boolean {
  const freed = derived.index.taskChanged(view, change.id);
  const task = view.table('task').get(change.id);
  if (task === undefined) return freed;
  const before = change.before as TaskStatus | undefined;
  const after = change.after as TaskStatus | undefined;
  if (after === undefined || before === undefined || matters(before, after))
    dirty.slots.add(slotKey(task));
  return freed;
}

function matters(before: TaskStatus, after: TaskStatus): boolean {
  if (before.ready !== after.ready || before.lost !== after.lost) return true;
  return before.state !== after.state && after.state >= TaskState.RUNNING;
}

/** A port that was let go may be what other services wait for. */
function markPorts(view: View, change: Change, derived: Derived, dirty: Dirty): boolean {
  const before = (change.before as { ports: readonly unknown[] } | undefined)?.ports ?? [];
  const after = (change.after as { ports: readonly unknown[] } | undefined)?.ports ?? [];
  if (before.length === 0 || before === after || !derived.index.hasPending) return false;
  for (const [, ids] of derived.index.pendingGroups())
    for (const id of ids) {
      const task = view.table('task').get(id);
      if (task !== undefined) dirty.services.add(task.serviceId);
      break;
    }
  return true;
}

function markNodeStatus(
  view: View,
  id: string,
  before: unknown,
  after: NodeStatus | undefined,
  derived: Derived,
  dirty: Dirty,
): void {
  derived.index.nodeChanged(view, id);
  const old = before as NodeStatus | undefined;
  const liveness = after?.liveness ?? Liveness.UNKNOWN;
  const same =
    old !== undefined &&
    old.liveness === liveness &&
    old.address === after?.address &&
    sameDescription(old, after);
  // A silence that has only begun changes nothing yet: its tasks stay.
  if (!same && liveness !== Liveness.SUSPECT) dirty.nodes.add(id);
}

function sameDescription(a: NodeStatus, b: NodeStatus | undefined): boolean {
  return (
    a.description === b?.description ||
    JSON.stringify(a.description) === JSON.stringify(b?.description)
  );
}
