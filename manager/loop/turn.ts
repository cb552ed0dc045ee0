import { type Service, type ServiceState, Task, type TaskState } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { slotKey } from '../store/schema.ts';
import type { Draft } from '../store/view.ts';
import type { AddressIndex } from './addressing/address-index.ts';
import { Dirty } from './dirty.ts';
import { type NodeCondition, nodeCondition } from './node-condition.ts';
import type { NodeIndex } from './node-index.ts';
import type { Specs } from './specs.ts';
import { type Entry, isAssigned, isFinal } from './task-facts.ts';
import type { WakeKey } from './wakes.ts';

/** What a turn is given. Nothing of it is changed: the function may run more than once. */
export interface TurnInput {
  readonly dirty: Dirty;
  /** Draining tasks whose draining all ready nodes have acknowledged. */
  readonly acknowledged: ReadonlySet<string>;
  /** Global services: a node that comes may need a task of each. */
  readonly globalServices: ReadonlySet<string>;
  /** Services whose handling threw, with the message: they are set aside. */
  readonly poisoned: ReadonlyMap<string, string>;
  readonly index: NodeIndex;
  readonly addresses: AddressIndex;
  readonly specs: Specs;
  /** Milliseconds since the turn began. */
  readonly elapsedMs: () => number;
}

/** What a turn leaves for later; it counts once the turn is applied. */
export interface TurnResult {
  readonly left: Dirty;
  readonly wakes: ReadonlyMap<WakeKey, number>;
}

/** A stage threw while it handled this service: the turn is done again without it. */
export class PoisonedService extends Error {
  override readonly name = 'PoisonedService';
  readonly serviceId: string;
  constructor(serviceId: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.serviceId = serviceId;
  }
}

function mayStillRun(entry: Entry, condition: NodeCondition): boolean {
  return condition === 'lost' && !isFinal(entry);
}

/** One turn at work: the draft, what it has to look at, what it leaves. */
export class Turn {
  readonly draft: Draft;
  readonly input: TurnInput;
  readonly index: NodeIndex;
  readonly addresses: AddressIndex;
  readonly specs: Specs;
  /** Cluster time. */
  readonly now: number;
  readonly left = new Dirty();
  readonly wakes = new Map<WakeKey, number>();
  /** What is dirty by the work of earlier stages of this turn, together with the input. */
  readonly dirty = new Dirty();
  /** New tasks that are not in the draft yet: the scheduler writes them once, with their node. */
  readonly fresh = new Set<Entry>();
  /** Tasks that were deleted although they may run on a lost node: their addresses are kept. */
  readonly abandoned: Entry[] = [];
  /** Services whose ports and addresses may have to change. */
  readonly endpoints = new Set<string>();
  /** Slots that were looked at: the reaper looks at their history. */
  readonly histories: { readonly service: Service | undefined; readonly tasks: Entry[] }[] = [];
  /** The stages before placement leave time for it. */
  timeMaxMs: number = LIMITS.turnMs / 2;
  #asked = 0;
  #timeIsUp = false;
  readonly #conditions = new Map<string, NodeCondition>();

  constructor(draft: Draft, input: TurnInput) {
    this.draft = draft;
    this.input = input;
    this.index = input.index;
    this.addresses = input.addresses;
    this.specs = input.specs;
    this.now = draft.timeMs;
    this.dirty.add(input.dirty);
  }

  /** Placement and the reaper may use up the rest. */
  openSecondHalf(): void {
    this.timeMaxMs = LIMITS.turnMs;
    this.#timeIsUp = false;
  }

  isFull(): boolean {
    if (this.draft.bytes >= LIMITS.turnBytesMax) return true;
    // The clock is asked now and then only.
    if ((++this.#asked & 15) !== 1) return this.#timeIsUp;
    this.#timeIsUp = this.input.elapsedMs() >= this.timeMaxMs;
    return this.#timeIsUp;
  }

  service(id: string): Service | undefined {
    return this.draft.table('service').get(id);
  }
  state(serviceId: string): ServiceState | undefined {
    return this.draft.table('serviceState').get(serviceId);
  }
  condition(nodeId: string): NodeCondition {
    let condition = this.#conditions.get(nodeId);
    if (condition === undefined) {
      condition = nodeCondition(this.draft, nodeId);
      this.#conditions.set(nodeId, condition);
    }
    return condition;
  }

  entry(task: Task): Entry {
    return { task, status: this.draft.table('taskStatus').get(task.id) };
  }

  /** Looks at `key` again at `atMs` at the latest; the earliest wish counts. */
  wake(key: WakeKey, atMs: number): void {
    const known = this.wakes.get(key);
    if (known === undefined || atMs < known) this.wakes.set(key, atMs);
  }

  /** Changes a task; one that is not in the draft yet is written by the scheduler. */
  change(entry: Entry, patch: Partial<Task>): void {
    entry.task = Task.with(entry.task, patch);
    if (this.fresh.has(entry)) return;
    this.draft.put('task', entry.task);
    this.index.try(this.draft, entry.task, entry.task.id, entry.status);
    if (entry.task.attachments.length > 0)
      this.addresses.taskChanged(entry.task.id, entry.task, entry.status);
  }
  desire(entry: Entry, desiredState: TaskState, endReason = entry.task.endReason): void {
    const same = entry.task.desiredState === desiredState && !entry.task.draining;
    if (same) return;
    this.change(entry, {
      desiredState,
      desiredMs: this.now,
      draining: false,
      pendingReason: '',
      endReason,
    });
  }
  create(init: Partial<Task>): Entry {
    const entry: Entry = {
      task: Task.create({
        id: this.draft.newId(),
        createdMs: this.now,
        createdWallMs: this.draft.wallMs,
        desiredMs: this.now,
        ...init,
      }),
      status: undefined,
    };
    this.fresh.add(entry);
    return entry;
  }
  remove(entry: Entry): void {
    if (this.fresh.delete(entry)) return;
    this.draft.delete('task', entry.task.id);
    this.draft.delete('taskStatus', entry.task.id);
    this.index.try(this.draft, undefined, entry.task.id, undefined);
    if (entry.task.attachments.length === 0) return;
    // It may run on where nobody hears of it: its addresses stay with the node.
    if (mayStillRun(entry, this.condition(entry.task.nodeId))) this.abandoned.push(entry);
    else this.addresses.taskChanged(entry.task.id, undefined, undefined);
  }

  slotWake(entry: Entry, atMs: number): void {
    this.wake(`k:${slotKey(entry.task)}`, atMs);
  }

  /** Events name services and tasks as people know them. */
  tell(kind: string, action: string, id: string, name: string, message: string): void {
    this.draft.emit({ kind, action, id, name, message });
  }
  taskName(task: Task): string {
    const name = this.service(task.serviceId)?.spec?.name ?? task.serviceId;
    return `${name}.${task.slot > 0 ? task.slot : task.nodeId}`;
  }
  nodeName(nodeId: string): string {
    return this.draft.table('node').get(nodeId)?.name ?? nodeId;
  }

  /** Nothing of `entry` can be stopped by anyone any more, or nothing of it ever ran. */
  isOutOfReach(entry: Entry): boolean {
    if (!isAssigned(entry.task)) return true;
    const condition = this.condition(entry.task.nodeId);
    return condition === 'lost' || condition === 'gone';
  }
}
