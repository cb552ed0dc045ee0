import {
  type NodeUsage,
  type Task,
  TaskState,
  UsageItem,
  type UsageItemsRequest,
  UsageRequest,
} from '../../proto/index.ts';
import type { Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import type { FreshReads } from './freshness.ts';
import { resolveNode, resolveService, resolveTask, taskName } from './resolve.ts';
import { Wakeup } from './wakeup.ts';

/** What the caller named, by id. Nothing at all: everything. */
interface Wanted {
  readonly taskIds: readonly string[];
  readonly serviceIds: readonly string[];
  readonly nodeIds: readonly string[];
}

/** What tasks use, as their nodes tell it. A node that does not answer costs one note. */
export class Usage {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async *stream(request: UsageItemsRequest, context: CallContext): AsyncIterable<UsageItem> {
    await this.#reads.before(context.consistency);
    const wanted = this.#resolve(this.#deps.store.view, request.refs);
    const watch = new UsageWatch(this.#deps, wanted, request, context.signal);
    try {
      watch.look();
      while (!watch.ended && !context.signal.aborted) yield* await watch.take();
      yield* watch.rest();
    } finally {
      watch.close();
    }
  }

  #resolve(view: View, refs: readonly string[]): Wanted {
    const wanted = { taskIds: [] as string[], serviceIds: [] as string[], nodeIds: [] as string[] };
    for (const ref of refs) {
      const service = orMissing(() => resolveService(view, ref));
      const node = service ? undefined : orMissing(() => resolveNode(view, ref, ''));
      if (service !== undefined) wanted.serviceIds.push(service.id);
      else if (node !== undefined) wanted.nodeIds.push(node.id);
      else wanted.taskIds.push(this.#task(view, ref).id);
    }
    return wanted;
  }
  #task(view: View, ref: string): Task {
    const task = orMissing(() => resolveTask(view, ref));
    if (task !== undefined) return task;
    throw new SwarmError('NOT_FOUND', `no task, service or node "${ref.slice(0, 100)}"`, {
      advice: 'List what is there: swarm service ls, swarm node ls, swarm task ls.',
    });
  }
}

function orMissing<R>(fn: () => R): R | undefined {
  try {
    return fn();
  } catch (error) {
    if (SwarmError.is(error) && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** Tasks come and go: nodes that got the first one are asked after this long at the latest. */
const AGAIN_MS = 2_000;

/** The streams of one caller with all nodes that have something of what it wants. */
class UsageWatch {
  readonly #deps: ControlDeps;
  readonly #wanted: Wanted;
  readonly #request: UsageItemsRequest;
  readonly #wakeup: Wakeup;
  readonly #abort = new AbortController();
  readonly #asked = new Set<string>();
  #queue: UsageItem[] = [];
  #open = 0;
  #timer: Timer | undefined;

  constructor(deps: ControlDeps, wanted: Wanted, request: UsageItemsRequest, signal: AbortSignal) {
    this.#deps = deps;
    this.#wanted = wanted;
    this.#request = request;
    this.#wakeup = new Wakeup(signal);
  }
  /** Asks the nodes that were not asked yet. */
  look(): void {
    for (const nodeId of this.#nodes()) if (!this.#asked.has(nodeId)) void this.#ask(nodeId);
    if (this.#request.once) return;
    this.#timer = this.#deps.clock.setTimer(AGAIN_MS, () => this.look());
  }
  async take(): Promise<readonly UsageItem[]> {
    await this.#wakeup.wait();
    return this.rest();
  }
  rest(): readonly UsageItem[] {
    const items = this.#queue;
    this.#queue = [];
    return items;
  }
  get ended(): boolean {
    return this.#request.once && this.#open === 0;
  }
  close(): void {
    this.#timer?.cancel();
    this.#abort.abort();
    this.#wakeup.close();
  }

  /** All of them, those with a wanted task, or those that were named. */
  #nodes(): ReadonlySet<string> {
    const { view } = this.#deps.store;
    const { taskIds, serviceIds, nodeIds } = this.#wanted;
    if (taskIds.length + serviceIds.length + nodeIds.length === 0) {
      return new Set([...view.table('node').all()].map((node) => node.id));
    }
    const nodes = new Set(nodeIds);
    for (const id of taskIds) nodes.add(view.table('task').get(id)?.nodeId ?? '');
    for (const id of serviceIds) {
      for (const task of view.table('task').by('service', id)) {
        if (task.desiredState <= TaskState.RUNNING) nodes.add(task.nodeId);
      }
    }
    nodes.delete('');
    return nodes;
  }
  async #ask(nodeId: string): Promise<void> {
    const { dispatcher, clock } = this.#deps;
    this.#asked.add(nodeId);
    this.#open++;
    const all = this.#wanted.nodeIds.includes(nodeId);
    const request = UsageRequest.create({
      taskIds: all ? [] : this.#wanted.taskIds,
      serviceIds: all ? [] : this.#wanted.serviceIds,
      intervalMs: Math.max(this.#request.intervalMs, LIMITS.usageIntervalMinMs),
      once: this.#request.once,
    });
    const silence = new AbortController();
    const signal = AbortSignal.any([silence.signal, this.#abort.signal]);
    let heard = false;
    const timer = clock.setTimer(LIMITS.usageSilentMs, () => {
      if (!heard) silence.abort();
    });
    try {
      if (!dispatcher.reachable(nodeId)) throw new SwarmError('NO_ANSWER', 'it does not answer');
      for await (const usage of dispatcher.openUsage(nodeId, request, signal)) {
        heard = true;
        this.#put(this.#item(nodeId, usage));
      }
      if (silence.signal.aborted) throw new SwarmError('DEADLINE', 'it does not answer');
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#lost(nodeId, error);
    } finally {
      timer.cancel();
      this.#open--;
      this.#wakeup.wake();
    }
  }
  /** Asked again at a later look. */
  #lost(nodeId: string, error: unknown): void {
    const name = this.#nodeName(nodeId);
    this.#put(UsageItem.create({ note: `node ${name} is missing: ${messageOf(error)}` }));
    if (this.#request.once) return;
    this.#deps.clock.setTimer(LIMITS.usageSilentMs, () => this.#asked.delete(nodeId));
  }
  #put(item: UsageItem): void {
    // Of one node only the newest look counts; who is slower misses the others.
    const nodeId = item.usage?.nodeId;
    if (nodeId !== undefined && !this.#request.once) {
      this.#queue = this.#queue.filter((waiting) => waiting.usage?.nodeId !== nodeId);
    }
    this.#queue.push(item);
    this.#wakeup.wake();
  }
  #item(nodeId: string, usage: NodeUsage): UsageItem {
    const { view } = this.#deps.store;
    const tasks = usage.tasks.flatMap(({ taskId }) => {
      const task = view.table('task').get(taskId);
      return task === undefined ? [] : [{ taskId, name: taskName(view, task) }];
    });
    const named = UsageItem.create({ nodeName: this.#nodeName(nodeId), tasks });
    return UsageItem.with(named, { usage });
  }
  #nodeName(nodeId: string): string {
    return this.#deps.store.view.table('node').get(nodeId)?.name ?? nodeId;
  }
}
