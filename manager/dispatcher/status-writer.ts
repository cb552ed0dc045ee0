import {
  type ListenFailure,
  type NodeDescription,
  NodeStatus,
  type NodeVolume,
  NodeVolumes,
  type Task,
  TaskReport,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Draft, Store, View } from '../store/view.ts';
import { boundedStatus, descriptionBytes, statusBytes, volumesBytes } from './report-bounds.ts';
import { isCommitted, isFinal, mergeStatus } from './task-status.ts';

/** Under load reports are gathered for this long. */
const GATHER_MS = 50;

/** One message of an agent. */
export interface Report {
  readonly nodeId: string;
  readonly tasks: readonly TaskReport[];
  readonly listenFailures: readonly ListenFailure[] | undefined;
  readonly description: NodeDescription | undefined;
  /** All named volumes of the node. */
  readonly volumes: readonly NodeVolume[] | undefined;
  /** Called when everything in it is committed. */
  done(): void;
  /** Called when it was not: the agent still has it and sends it again in its next session. */
  failed(error: unknown): void;
}

export interface StatusWriterDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

/** A report, or a part of one that is too large for an entry, and what it takes there. */
interface Queued extends Report {
  readonly bytes: number;
}

/** Commits what agents report, many reports in one entry, in the order in which they came. */
export class StatusWriter {
  readonly #deps: StatusWriterDeps;
  readonly #transient = new Map<string, TaskStatus>();
  #queue: Queued[] = [];
  #queuedTasks = 0;
  #writing = false;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #running = false;

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = true;
  }

  stop(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#transient.clear();
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedTasks = 0;
    for (const report of queue) report.failed(notLeader());
  }

  /** What an agent told for people only (PREPARING and the like). */
  transientStatus(taskId: string): TaskStatus | undefined {
    return this.#transient.get(taskId);
  }

  /** The task's row is gone. */
  forget(taskId: string): void {
    this.#transient.delete(taskId);
  }

  report(report: Report): void {
    if (!this.#running) {
      report.failed(notLeader());
      return;
    }
    if (this.#queuedTasks + report.tasks.length > LIMITS.reportsQueuedMax) {
      report.failed(new SwarmError('OVERLOADED', 'Too many reports wait to be written.'));
      return;
    }
    this.#queue.push(...partsOf(report));
    this.#queuedTasks += report.tasks.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#writing || this.#queue.length === 0) return;
    const sinceMs = this.#deps.clock.monotonicMs() - this.#lastMs;
    if (sinceMs >= GATHER_MS || this.#queuedTasks >= LIMITS.reportsBatchMax) {
      this.#timer?.cancel();
      this.#timer = undefined;
      void this.#write();
      return;
    }
    this.#timer ??= this.#deps.clock.setTimer(GATHER_MS - sinceMs, () => {
      this.#timer = undefined;
      this.#schedule();
    });
  }

  #take(): Report[] {
    let tasks = 0;
    let bytes = 0;
    let count = 0;
    for (const queued of this.#queue) {
      tasks += queued.tasks.length;
      bytes += queued.bytes;
      const isFull = tasks > LIMITS.reportsBatchMax || bytes > LIMITS.reportsBatchBytesMax;
      if (count > 0 && isFull) break;
      count++;
    }
    const batch = this.#queue.splice(0, count);
    for (const report of batch) this.#queuedTasks -= report.tasks.length;
    return batch;
  }

  async #write(): Promise<void> {
    this.#writing = true;
    this.#lastMs = this.#deps.clock.monotonicMs();
    const batch = this.#take();
    try {
      if (batch.some((report) => this.#changesRows(report))) {
        await this.#deps.store.update(
          (draft) => {
            for (const report of batch) {
              putReport(draft, report);
              this.#tellPulls(draft, report);
            }
          },
          { writer: 'status' },
        );
      }
      for (const report of batch) this.#keepTransient(report);
      for (const report of batch) report.done();
    } catch (error) {
      this.#deps.log.warn({ error: messageOf(error) }, 'reports were not committed');
      for (const report of batch) report.failed(error);
    } finally {
      this.#writing = false;
      this.#schedule();
    }
  }

  /** Saves an entry for reports that are all for people. */
  #changesRows(report: Report): boolean {
    const { listenFailures, description, volumes } = report;
    if (listenFailures !== undefined || description !== undefined || volumes !== undefined)
      return true;
    const tasks = this.#deps.store.view.table('task');
    return report.tasks.some(({ taskId, status }) => {
      const task = tasks.get(taskId);
      if (task === undefined || status === null) return false;
      return isCommitted(task, status) || this.#hasMoreLayers(status, taskId);
    });
  }

  /** A layer of its image has come since the last word; the last one is told with the whole. */
  #hasMoreLayers({ layers }: TaskStatus, taskId: string): boolean {
    const done = layersDone(layers);
    return done < layers.length && done > layersDone(this.#transient.get(taskId)?.layers ?? []);
  }

  #tellPulls(draft: Draft, report: Report): void {
    for (const { taskId, status } of report.tasks) {
      const task = draft.table('task').get(taskId);
      if (task === undefined || task.nodeId !== report.nodeId || status === null) continue;
      if (isCommitted(task, status) || !this.#hasMoreLayers(status, taskId)) continue;
      const { layers } = status;
      const message = `${layersDone(layers)} of ${layers.length} layers are there`;
      draft.emit({ kind: 'task', action: 'pull', id: taskId, name: nameOf(draft, task), message });
    }
  }

  #keepTransient(report: Report): void {
    const { view } = this.#deps.store;
    for (const { taskId, status } of report.tasks) {
      const task = view.table('task').get(taskId);
      if (task === undefined || status === null || task.nodeId !== report.nodeId) continue;
      if (isCommitted(task, status)) this.#transient.delete(taskId);
      else this.#transient.set(taskId, status);
    }
  }
}

/**
 * One entry takes so much: a node whose tasks have all ended with long last words says more. The last
 * part stands for the whole; when an earlier one fails, the agent is heard no more.
 */
function partsOf(report: Report): Queued[] {
  const parts: { tasks: TaskReport[]; bytes: number }[] = [{ tasks: [], bytes: 0 }];
  for (const { taskId, status } of report.tasks) {
    if (status === null) continue;
    const bounded = boundedStatus(status);
    const bytes = statusBytes(bounded);
    let part = parts.at(-1)!;
    if (part.bytes > 0 && part.bytes + bytes > LIMITS.reportsBatchBytesMax) {
      part = { tasks: [], bytes: 0 };
      parts.push(part);
    }
    part.tasks.push(TaskReport.create({ taskId, status: bounded }));
    part.bytes += bytes;
  }
  parts.at(-1)!.bytes += descriptionBytes(report.description) + volumesBytes(report.volumes ?? []);
  const nothing = { listenFailures: undefined, description: undefined, volumes: undefined };
  const before = { ...report, ...nothing, done: () => undefined };
  return parts.map((part, at) => ({ ...(at < parts.length - 1 ? before : report), ...part }));
}

function layersDone(layers: TaskStatus['layers']): number {
  return layers.filter(({ what }) => what === 'done').length;
}

function notLeader(): SwarmError {
  return new SwarmError('NOT_LEADER', 'This manager does not lead any more.');
}

function putReport(draft: Draft, report: Report): void {
  for (const { taskId, status } of report.tasks) {
    if (status !== null) putStatus(draft, report.nodeId, taskId, status);
  }
  const row = draft.table('nodeStatus').get(report.nodeId);
  if (row === undefined) return;
  const { listenFailures, description, volumes } = report;
  if (volumes !== undefined) putVolumes(draft, report.nodeId, volumes);
  if (listenFailures === undefined && description === undefined) return;
  draft.put(
    'nodeStatus',
    NodeStatus.with(row, {
      ...(listenFailures === undefined ? {} : { listenFailures }),
      ...(description === undefined ? {} : { description }),
    }),
  );
}

/** Writes nothing when the row says it already. */
export function putVolumes(draft: Draft, nodeId: string, volumes: readonly NodeVolume[]): void {
  if (draft.table('node').has(nodeId) && !hasVolumes(draft, nodeId, volumes))
    draft.put('nodeVolumes', NodeVolumes.create({ id: nodeId, volumes }));
}

/** What is known of the node's volumes is just this. */
export function hasVolumes(view: View, nodeId: string, volumes: readonly NodeVolume[]): boolean {
  const known = view.table('nodeVolumes').get(nodeId)?.volumes ?? [];
  const bytes = (list: readonly NodeVolume[]) =>
    NodeVolumes.encode(NodeVolumes.create({ volumes: list }));
  return Buffer.compare(bytes(known), bytes(volumes)) === 0;
}

function putStatus(draft: Draft, nodeId: string, taskId: string, status: TaskStatus): void {
  const task = draft.table('task').get(taskId);
  // An agent speaks for its own tasks only.
  if (task === undefined || task.nodeId !== nodeId || !isCommitted(task, status)) return;
  const before = draft.table('taskStatus').get(taskId);
  const after = mergeStatus(before, status, draft.timeMs);
  if (after === undefined) return;
  draft.put('taskStatus', after.id === taskId ? after : withId(after, taskId));
  if (status.layers.length > 0 && before === undefined) emitPulled(draft, task, status);
  if (after.state === before?.state) return;
  if (after.state !== TaskState.RUNNING && !isFinal(after.state)) return;
  const name = nameOf(draft, task);
  draft.emit({ kind: 'task', action: 'state', id: taskId, name, message: stateText(after) });
}

/** What its node had to fetch for it, layer by layer. */
function emitPulled(draft: Draft, task: Task, { layers }: TaskStatus): void {
  const bytes = layers.reduce((sum, { totalBytes }) => sum + totalBytes, 0);
  draft.emit({
    kind: 'task',
    action: 'pull',
    id: task.id,
    name: nameOf(draft, task),
    message: `${layers.length} layers, ${(bytes / 1e6).toFixed(1)} MB`,
    attributes: Object.fromEntries(
      layers
        .slice(0, LIMITS.layersToldMax)
        .map(({ digest, doneBytes, totalBytes, what }) => [
          digest,
          `${what} ${doneBytes}/${totalBytes}`,
        ]),
    ),
  });
}

function nameOf(draft: Draft, task: Task): string {
  const name = draft.table('service').get(task.serviceId)?.spec?.name ?? '';
  return task.slot > 0 ? `${name}.${task.slot}` : name;
}

function withId(status: TaskStatus, id: string): TaskStatus {
  return TaskStatus.with(status, { id });
}

const WORDS: { readonly [state: number]: string } = {
  [TaskState.RUNNING]: 'running',
  [TaskState.COMPLETE]: 'complete',
  [TaskState.SHUTDOWN]: 'shut down',
  [TaskState.FAILED]: 'failed',
  [TaskState.REJECTED]: 'rejected',
};

function stateText(status: TaskStatus): string {
  const word = WORDS[status.state] ?? 'ended';
  return status.err === '' ? word : `${word}: ${status.err}`;
}
