import {
  type Node,
  type NodeStatus,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { atOnce, inPieces } from '../../shared/slices.ts';
import type { View } from '../store/view.ts';
import { blockedBecause } from './node-condition.ts';
import type { RevisionFacts, Specs } from './specs.ts';
import { isAssigned, isFinal, isWanted } from './task-facts.ts';

/** After this long a failure on a node counts no more against it. */
const FAILURE_MEMORY_MS = 5 * 60_000;

/** A node as the scheduler sees it. */
export interface NodeRecord {
  readonly id: string;
  readonly at: number;
  node: Node | undefined;
  status: NodeStatus | undefined;
  /** Why it takes no new tasks; empty: it does. */
  blocked: string;
  /** Tasks that are wanted there. */
  tasks: number;
  nanoCpus: number;
  memoryBytes: number;
  readonly generic: Map<string, number>;
  /** Fixed host ports in use -> how many tasks have them. */
  readonly hostPorts: Map<string, number>;
}

/** What one task weighs. Shared by all tasks of a revision on a node: a million cost no objects. */
interface Weight {
  readonly at: number;
  readonly facts: RevisionFacts;
  /** Wanted: counts for spreading. Reservations and ports are held until it has ended. */
  readonly active: boolean;
}

/**
 * Derived from the rows: what nodes have left, how tasks are spread, who waits for a node, what
 * failed where. Changed by applied entries alone; a turn changes it on trial and takes that back.
 */
export class NodeIndex {
  readonly records: NodeRecord[] = [];
  /** Changes with everything about nodes that is not load. */
  epoch = 0;
  readonly #specs: Specs;
  readonly #byId = new Map<string, NodeRecord>();
  readonly #weights = new Map<string, Weight>();
  #shared = new WeakMap<RevisionFacts, Map<number, Weight>>();
  #rebuilding = false;
  /** Service -> node -> wanted tasks. */
  readonly #spread = new Map<string, Map<number, number>>();
  /** `groupKey` -> tasks of it that wait for a node. */
  readonly #pending = new Map<string, Set<string>>();
  readonly #pendingKey = new Map<string, string>();
  /** `groupKey` -> node id -> when tasks of it failed there. */
  readonly #failures = new Map<string, Map<string, number[]>>();
  readonly #rejections = new Map<string, Map<string, number>>();
  #trial: { readonly id: string; readonly before: Weight | undefined }[] | undefined;

  constructor(specs: Specs) {
    this.#specs = specs;
  }

  static of(view: View, specs: Specs): NodeIndex {
    const index = new NodeIndex(specs);
    atOnce(index.rebuild(view));
    return index;
  }

  /** In pieces. Until it has ended nothing else may be asked or told. */
  *rebuild(view: View): Generator<void, void> {
    this.records.length = 0;
    this.epoch++;
    for (const map of [this.#byId, this.#weights, this.#spread, this.#pending]) map.clear();
    for (const map of [this.#pendingKey, this.#failures, this.#rejections]) map.clear();
    this.#shared = new WeakMap();
    yield* inPieces(view.table('node').all(), (node) => this.nodeChanged(view, node.id));
    this.#rebuilding = true;
    yield* inPieces(view.table('task').all(), (task) => this.taskChanged(view, task.id));
    this.#rebuilding = false;
  }

  nodeChanged(view: View, id: string): void {
    const record = this.#record(id);
    record.node = view.table('node').get(id);
    record.status = view.table('nodeStatus').get(id);
    record.blocked = blockedBecause(view, id);
    this.epoch++;
  }

  /** Takes up a task's rows as they are now. True when it freed something on a node. */
  taskChanged(view: View, id: string): boolean {
    const task = view.table('task').get(id);
    const status = view.table('taskStatus').get(id);
    const before = this.#weights.get(id);
    if (task !== undefined && status !== undefined) this.#noteFailure(task, status, before);
    this.#setPending(id, task !== undefined && waits(task, status) ? task : undefined);
    const after = task === undefined ? undefined : this.#weigh(view, task, status);
    this.#setWeight(id, before, after);
    return before !== undefined && after === undefined;
  }

  serviceGone(serviceId: string): void {
    for (const map of [this.#failures, this.#rejections])
      for (const key of map.keys()) if (key.startsWith(`${serviceId}/`)) map.delete(key);
  }

  // -- trial: a turn counts what it decides; nothing of that stays

  begin(): void {
    this.#trial = [];
  }
  /** As if `task` were applied. */
  try(view: View, task: Task | undefined, id: string, status: TaskStatus | undefined): void {
    const before = this.#weights.get(id);
    this.#trial?.push({ id, before });
    this.#setWeight(id, before, task === undefined ? undefined : this.#weigh(view, task, status));
  }
  rollback(): void {
    const trial = this.#trial ?? [];
    this.#trial = undefined;
    for (let i = trial.length - 1; i >= 0; i--) {
      const { id, before } = trial[i]!;
      this.#setWeight(id, this.#weights.get(id), before);
    }
  }

  // -- questions

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }
  pendingGroups(): Iterable<readonly [groupKey: string, taskIds: ReadonlySet<string>]> {
    return this.#pending;
  }
  find(nodeId: string): NodeRecord | undefined {
    return this.#byId.get(nodeId);
  }
  /** Wanted tasks of a service on each node that has one. */
  spreadOf(serviceId: string): ReadonlyMap<number, number> {
    return this.#spread.get(serviceId) ?? NONE;
  }
  /** Nodes that refused this revision in the last five minutes. */
  refusedBy(groupKey: string, nowMs: number): ReadonlySet<string> {
    const refused = new Set<string>();
    for (const [nodeId, atMs] of this.#rejections.get(groupKey) ?? [])
      if (atMs > nowMs - FAILURE_MEMORY_MS) refused.add(nodeId);
    return refused;
  }
  /** Nodes on which this revision failed five times in five minutes, or was refused. */
  badNodes(groupKey: string, nowMs: number): ReadonlySet<string> {
    const since = nowMs - FAILURE_MEMORY_MS;
    const bad = new Set(this.refusedBy(groupKey, nowMs));
    for (const [nodeId, times] of this.#failures.get(groupKey) ?? [])
      if (times.length >= 5 && times[times.length - 5]! > since) bad.add(nodeId);
    return bad;
  }

  #record(id: string): NodeRecord {
    let record = this.#byId.get(id);
    if (record === undefined) {
      record = {
        id,
        at: this.records.length,
        node: undefined,
        status: undefined,
        blocked: 'gone',
        tasks: 0,
        nanoCpus: 0,
        memoryBytes: 0,
        generic: new Map(),
        hostPorts: new Map(),
      };
      this.#byId.set(id, record);
      this.records.push(record);
    }
    return record;
  }

  #weigh(view: View, task: Task, status: TaskStatus | undefined): Weight | undefined {
    if (!isAssigned(task) || isFinal({ task, status })) return undefined;
    const facts = this.#specs.find(view, task.serviceId, task.revision);
    if (facts === undefined) return undefined;
    // One that only waits for its successor to come up will not stay: its place counts as free.
    const active = isWanted(task) && task.endReason === '';
    return this.#share(this.#record(task.nodeId).at, facts, active);
  }

  #share(at: number, facts: RevisionFacts, active: boolean): Weight {
    let weights = this.#shared.get(facts);
    if (weights === undefined) {
      weights = new Map();
      this.#shared.set(facts, weights);
    }
    const key = 2 * at + Number(active);
    let weight = weights.get(key);
    if (weight === undefined) {
      weight = { at, facts, active };
      weights.set(key, weight);
    }
    return weight;
  }

  #setWeight(id: string, before: Weight | undefined, after: Weight | undefined): void {
    if (before !== undefined) this.#add(before, -1);
    if (after === undefined) this.#weights.delete(id);
    else {
      this.#weights.set(id, after);
      this.#add(after, 1);
    }
  }

  #add({ at, facts, active }: Weight, sign: 1 | -1): void {
    const record = this.records[at]!;
    if (active) {
      record.tasks += sign;
      const spread = this.#spread.get(facts.serviceId) ?? new Map<number, number>();
      const count = (spread.get(at) ?? 0) + sign;
      if (count > 0) spread.set(at, count);
      else spread.delete(at);
      if (spread.size > 0) this.#spread.set(facts.serviceId, spread);
      else this.#spread.delete(facts.serviceId);
    }
    record.nanoCpus += sign * facts.nanoCpus;
    record.memoryBytes += sign * facts.memoryBytes;
    for (const [kind, count] of facts.generic) bump(record.generic, kind, sign * count);
    for (const port of facts.hostPorts) bump(record.hostPorts, port, sign);
  }

  #setPending(id: string, task: Task | undefined): void {
    const key = task === undefined ? undefined : groupKey(task);
    const before = this.#pendingKey.get(id);
    if (before === key) return;
    if (before !== undefined) {
      const group = this.#pending.get(before)!;
      group.delete(id);
      if (group.size === 0) this.#pending.delete(before);
    }
    if (key === undefined) {
      this.#pendingKey.delete(id);
      return;
    }
    this.#pendingKey.set(id, key);
    const group = this.#pending.get(key);
    if (group === undefined) this.#pending.set(key, new Set([id]));
    else group.add(id);
  }

  /** Only the step from holding to ended is a new failure; at a rebuild every row counts once. */
  #noteFailure(task: Task, status: TaskStatus, before: Weight | undefined): void {
    const failed = status.state === TaskState.FAILED || status.state === TaskState.REJECTED;
    if (!failed || status.lost || (before === undefined && !this.#rebuilding)) return;
    const key = groupKey(task);
    if (status.state === TaskState.REJECTED) {
      const nodes = this.#rejections.get(key) ?? new Map<string, number>();
      nodes.set(task.nodeId, status.endedMs);
      this.#rejections.set(key, nodes);
    }
    const nodes = this.#failures.get(key) ?? new Map<string, number[]>();
    const times = nodes.get(task.nodeId) ?? [];
    times.push(status.endedMs);
    if (times.length > 5) times.shift();
    nodes.set(task.nodeId, times);
    this.#failures.set(key, nodes);
  }
}

const NONE: ReadonlyMap<number, number> = new Map();

/** Tasks that are placed alike. */
export function groupKey(task: Task): string {
  return `${task.serviceId}/${task.revision}`;
}

function waits(task: Task, status: TaskStatus | undefined): boolean {
  return isWanted(task) && !isAssigned(task) && !isFinal({ task, status });
}

function bump(map: Map<string, number>, key: string, by: number): void {
  const count = (map.get(key) ?? 0) + by;
  if (count > 0) map.set(key, count);
  else map.delete(key);
}
