import { AssignedTask, LoadBalanced } from '../../proto/index.ts';
import { inPieces } from '../../shared/slices.ts';
import type { AppliedEntry, Change, View } from '../store/view.ts';
import { assignedTask } from './assigned.ts';
import { encodeServices } from './assignment-message.ts';
import { loadBalanced } from './backends.ts';
import { labelsOf } from './bound-labels.ts';
import { type Item, ItemSet, makeItem } from './item-set.ts';
import { type NetworkChanges, NetworkRows } from './network-rows.ts';

/** What changed for agents since the last time it was taken. */
export interface AssignmentChanges {
  /** Node id -> ids of its tasks that came, changed or went. */
  readonly tasks: ReadonlyMap<string, ReadonlySet<string>>;
  /** Load-balancing rows that came, changed or went, encoded: the same for every node. */
  readonly services: Uint8Array;
  readonly networks: NetworkChanges;
}

/**
 * The rows that agents get, kept up to date from what is applied: work follows what changed, each
 * row is encoded once, and all sessions share the bytes.
 */
export class AssignmentRows {
  readonly services = new ItemSet();
  readonly networks = new NetworkRows();
  readonly #tasks = new Map<string, { readonly version: number; readonly item: Item }>();
  #dirtyTasks = new Map<string, Set<string>>();
  #dirtyServices = new Set<string>();
  /** Services with ports that are bound to a label of nodes. */
  readonly #boundToLabels = new Set<string>();

  /** Starts anew from a whole state, in pieces. Entries may be observed before it has ended. */
  *rebuild(view: View): Generator<void, void> {
    this.services.clear();
    this.#tasks.clear();
    this.#boundToLabels.clear();
    this.#dirtyTasks = new Map();
    this.#dirtyServices = new Set();
    const services = view.table('service').all();
    yield* inPieces(services, (service) => this.#updateService(view, service.id), 1);
    yield* this.networks.rebuild(view);
  }

  /** Notes what an entry touches. */
  observe(view: View, entry: AppliedEntry): void {
    for (const change of entry.changes) this.#note(view, change);
    this.networks.observe(view, entry);
  }

  /** Brings the rows up to `view` and hands over what changed. */
  take(view: View): AssignmentChanges {
    const tasks = this.#dirtyTasks;
    const services: Item[] = [];
    const removedServices: string[] = [];
    for (const id of this.#dirtyServices) {
      if (!this.#updateService(view, id)) continue;
      const item = this.services.get(id);
      if (item === undefined) removedServices.push(id);
      else services.push(item);
    }
    this.#dirtyTasks = new Map();
    this.#dirtyServices = new Set();
    const networks = this.networks.take(view);
    return { tasks, services: encodeServices(services, removedServices), networks };
  }

  /** A task as its node gets it; undefined when the node should forget it. */
  task(view: View, nodeId: string, taskId: string): Item | undefined {
    const row = view.table('task').get(taskId);
    if (row === undefined || row.nodeId !== nodeId) {
      this.#tasks.delete(taskId);
      return undefined;
    }
    const known = this.#tasks.get(taskId);
    if (known !== undefined && known.version === row.version) return known.item;
    const assigned = assignedTask(view, row);
    if (assigned === undefined) return undefined;
    const item = makeItem(taskId, AssignedTask.encode(assigned));
    this.#tasks.set(taskId, { version: row.version, item });
    return item;
  }

  /** All tasks of a node. */
  *tasksOf(view: View, nodeId: string): Iterable<Item> {
    for (const row of view.table('task').by('node', nodeId)) {
      const item = this.task(view, nodeId, row.id);
      if (item !== undefined) yield item;
    }
  }

  #updateService(view: View, id: string): boolean {
    const row = loadBalanced(view, id);
    if (row !== undefined && labelsOf(row.ports).length > 0) this.#boundToLabels.add(id);
    else this.#boundToLabels.delete(id);
    return this.services.set(id, row && makeItem(id, LoadBalanced.encode(row)));
  }

  #note(view: View, change: Change): void {
    switch (change.table) {
      case 'task': {
        const { before, after } = change as Change<'task'>;
        if (after === undefined) this.#tasks.delete(change.id);
        this.#noteTask(before?.nodeId, change.id);
        this.#noteTask(after?.nodeId, change.id);
        this.#dirtyServices.add((after ?? before)?.serviceId ?? '');
        return;
      }
      case 'taskStatus': {
        const task = view.table('task').get(change.id);
        if (task !== undefined) this.#dirtyServices.add(task.serviceId);
        return;
      }
      case 'node':
        for (const id of this.#boundToLabels) this.#dirtyServices.add(id);
        return;
      case 'nodeStatus':
        this.#noteNode(view, change as Change<'nodeStatus'>);
        return;
      case 'service':
        this.#dirtyServices.add(change.id);
        return;
      case 'serviceState':
        this.#noteState(view, change as Change<'serviceState'>);
        return;
      default:
        return;
    }
  }

  #noteTask(nodeId: string | undefined, taskId: string): void {
    if (nodeId === undefined || nodeId === '') return;
    const ids = this.#dirtyTasks.get(nodeId);
    if (ids === undefined) this.#dirtyTasks.set(nodeId, new Set([taskId]));
    else ids.add(taskId);
  }

  #noteNode(view: View, { id, before, after }: Change<'nodeStatus'>): void {
    if (before?.liveness === after?.liveness && before?.publishAddress === after?.publishAddress) {
      return;
    }
    for (const task of view.table('task').by('node', id)) this.#dirtyServices.add(task.serviceId);
  }

  #noteState(view: View, { id, before, after }: Change<'serviceState'>): void {
    // Rows are immutable and replaced as a whole: equal ports may be another list.
    if (before?.runningRevision !== after?.runningRevision) this.#dirtyServices.add(id);
    if (JSON.stringify(before?.ports ?? []) === JSON.stringify(after?.ports ?? [])) return;
    this.#dirtyServices.add(id);
    for (const task of view.table('task').by('service', id)) {
      this.#tasks.delete(task.id);
      this.#noteTask(task.nodeId, task.id);
    }
  }
}
