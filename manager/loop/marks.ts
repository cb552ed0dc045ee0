import {
  Liveness,
  type Network,
  type NetworkState,
  type NodeState,
  type NodeStatus,
  ServiceMode,
  type ServiceState,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { inPieces } from '../../shared/slices.ts';
import { slotKey } from '../store/schema.ts';
import type { AppliedEntry, Change, View } from '../store/view.ts';
import type { AddressIndex } from './addressing/address-index.ts';
import { INGRESS } from './addressing/predefined.ts';
import type { Dirty } from './dirty.ts';
import type { NodeIndex } from './node-index.ts';
import type { Specs } from './specs.ts';

/** What the loop keeps of the rows between turns: all of it derived, all of it rebuilt at start. */
export interface Derived {
  readonly index: NodeIndex;
  readonly addresses: AddressIndex;
  readonly specs: Specs;
  readonly globalServices: Set<string>;
}

/** Takes up an applied entry: what it changed is dirty, what is derived follows. */
export function mark(view: View, entry: AppliedEntry, derived: Derived, dirty: Dirty): void {
  let freed = false;
  for (const change of entry.changes) freed = markOne(view, change, derived, dirty) || freed;
  freed = markFreedAddresses(view, derived, dirty) || freed;
  if (freed && derived.index.hasPending) dirty.placement = true;
}

/**
 * Everything, in pieces: at the start of a term, and after all tables were replaced. What is applied
 * before it has ended is to be marked after it.
 */
export function* markAll(view: View, derived: Derived, dirty: Dirty): Generator<void, void> {
  derived.specs.clear();
  yield* derived.index.rebuild(view);
  yield* derived.addresses.rebuild(view);
  derived.globalServices.clear();
  for (const service of view.table('service').all()) {
    dirty.services.add(service.id);
    if (service.spec?.mode === ServiceMode.GLOBAL) derived.globalServices.add(service.id);
  }
  for (const state of view.table('serviceState').all()) dirty.services.add(state.id);
  yield* inPieces(view.table('task').all(), (task) => dirty.services.add(task.serviceId));
  for (const node of view.table('node').all()) dirty.nodes.add(node.id);
  for (const state of view.table('nodeState').all()) dirty.nodes.add(state.id);
  for (const network of view.table('network').all()) dirty.networks.add(network.id);
  for (const state of view.table('networkState').all()) dirty.networks.add(state.id);
  dirty.underlay = true;
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
      derived.addresses.serviceChanged(id, after as ServiceState | undefined);
      return markPorts(view, change, derived, dirty);
    case 'task':
      // The loop's own rows: what it wrote it need not look at again.
      noteAddresses(view, change as Change<'task'>, derived);
      return derived.index.taskChanged(view, id);
    case 'network':
      if (!isOwnRow(after as Network | undefined)) dirty.networks.add(id);
      return false;
    case 'networkState':
      derived.addresses.networkChanged(id, after as NetworkState | undefined);
      return false;
    case 'nodeState':
      derived.addresses.nodeChanged(id, after as NodeState | undefined);
      return false;
    // A volume that went, or came to another node, may be what tasks wait for.
    case 'nodeVolumes':
      return true;
    // So may a bind that the cluster allows now.
    case 'cluster':
      return true;
    case 'taskStatus':
      return markStatus(view, change, derived, dirty);
    case 'node':
      derived.index.nodeChanged(view, id);
      dirty.nodes.add(id);
      if (after === undefined) dirty.underlay = true;
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
  if (task.attachments.length > 0)
    derived.addresses.taskChanged(task.id, task, view.table('taskStatus').get(task.id));
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
  markPending(view, derived, dirty);
  return true;
}

function markPending(view: View, derived: Derived, dirty: Dirty): void {
  for (const [, ids] of derived.index.pendingGroups())
    for (const id of ids) {
      const task = view.table('task').get(id);
      if (task !== undefined) dirty.services.add(task.serviceId);
      break;
    }
}

function noteAddresses(view: View, change: Change<'task'>, derived: Derived): void {
  const { id, before, after } = change;
  const hasAny = (before?.attachments.length ?? 0) > 0 || (after?.attachments.length ?? 0) > 0;
  if (hasAny) derived.addresses.taskChanged(id, after, view.table('taskStatus').get(id));
}

/** Networks that are being removed wait for their last address; services may wait for any. */
function markFreedAddresses(view: View, derived: Derived, dirty: Dirty): boolean {
  const freed = derived.addresses.takeFreed();
  for (const id of freed) {
    const leaves = view.table('network').get(id)?.removing ?? true;
    if (leaves) dirty.networks.add(id);
  }
  if (freed.size === 0 || !derived.index.hasPending) return false;
  markPending(view, derived, dirty);
  return true;
}

/** The loop makes the ingress in the turn that gives it its numbers. */
function isOwnRow(network: Network | undefined): boolean {
  return network?.id === INGRESS;
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
  if (!sameUnderlay(old, after)) dirty.underlay = true;
}

function sameUnderlay(a: NodeStatus | undefined, b: NodeStatus | undefined): boolean {
  const [old, fresh] = [a?.description, b?.description];
  return (
    old === fresh ||
    (old?.mtu === fresh?.mtu &&
      old?.dataAddress === fresh?.dataAddress &&
      old?.features['network'] === fresh?.features['network'] &&
      String(old?.routes) === String(fresh?.routes))
  );
}

function sameDescription(a: NodeStatus, b: NodeStatus | undefined): boolean {
  return (
    a.description === b?.description ||
    JSON.stringify(a.description) === JSON.stringify(b?.description)
  );
}
