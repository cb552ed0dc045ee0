import {
  type LogRecord,
  LogRequest,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { delay } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { AppliedEntry, Store } from '../store/view.ts';
import { compareRecords, LogSource, type LogSourceDeps } from './log-source.ts';
import { Wakeup } from './wakeup.ts';

/** Where the reading of one task's log is. */
interface Reading {
  readonly request: LogRequest;
  last: LogRecord | undefined;
  /** The last before it was cut off: what is not after it has been told. */
  seen: LogRecord | undefined;
}

/** From the last record on, itself included: others of its moment may follow it. */
function resumed(reading: Reading): LogRequest {
  const { request, last } = reading;
  reading.seen = last;
  if (last === undefined) return request;
  return LogRequest.with(request, { tail: 0, sinceWallMs: last.atWallMs });
}

function isAfter(record: LogRecord, last: LogRecord): boolean {
  return (record.atWallMs - last.atWallMs || record.atNanos - last.atNanos) > 0;
}

/** Waits for every line of its tasks. Bounded: while the reader is slow, the nodes wait. */
export class LogFollower {
  readonly #deps: LogSourceDeps & { readonly store: Store };
  readonly #request: LogRequest;
  readonly #reader: Wakeup;
  readonly #sources = new Map<string, LogSource>();
  readonly #unsubscribe: () => void;
  /** The service whose new tasks join in; empty for the log of one task. */
  readonly #serviceId: string;
  #open = 0;
  #error: SwarmError | undefined;
  #queue: LogRecord[] = [];
  #waiting: (() => void)[] = [];
  #closed = false;
  #end: () => void = () => undefined;
  readonly #ending = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  constructor(
    deps: LogSourceDeps & { readonly store: Store },
    serviceId: string,
    request: LogRequest,
    signal: AbortSignal,
  ) {
    this.#deps = deps;
    this.#serviceId = serviceId;
    this.#request = request;
    this.#reader = new Wakeup(signal);
    this.#unsubscribe = deps.store.onApplied((entry) => this.#onApplied(entry));
  }

  add(task: Task, tail = this.#request.tail): void {
    if (this.#closed || this.#sources.has(task.id)) return;
    const request = LogRequest.with(this.#request, { taskId: task.id, tail });
    const source = new LogSource(this.#deps, task, request);
    this.#sources.set(task.id, source);
    this.#open++;
    void this.#pump(task, source, { request, last: undefined, seen: undefined });
  }

  /**
   * What has come since the last call, in order of time; waits for something. Throws NOT_LEADER where
   * another manager has the sessions now.
   */
  async take(): Promise<LogRecord[]> {
    await this.#reader.wait();
    if (this.#queue.length === 0 && this.#error !== undefined) throw this.#error;
    const records = this.#queue.sort(compareRecords);
    this.#queue = [];
    for (const go of this.#waiting.splice(0)) go();
    return records;
  }

  /** True when no line can come any more. */
  get ended(): boolean {
    if (this.#closed) return true;
    if (this.#error !== undefined) return false;
    if (this.#open > 0 || this.#queue.length > 0) return false;
    return this.#serviceId === '' || !this.#deps.store.view.table('service').has(this.#serviceId);
  }

  close(): void {
    this.#closed = true;
    this.#end();
    this.#unsubscribe();
    this.#reader.close();
    for (const source of this.#sources.values()) source.close();
    for (const go of this.#waiting.splice(0)) go();
  }

  async #pump(task: Task, first: LogSource, reading: Reading): Promise<void> {
    let source: LogSource | undefined = first;
    while (source !== undefined) {
      const record = await source.next();
      if (this.#closed) break;
      if (record === undefined) {
        source = await this.#after(source, task, reading);
        continue;
      }
      if (reading.seen !== undefined && !isAfter(record, reading.seen)) continue;
      reading.last = record;
      this.#queue.push(record);
      this.#reader.wake();
      if (this.#queue.length >= LIMITS.logQueueRecordsMax)
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#open--;
    this.#forgetLater(task.id);
    this.#reader.wake();
  }

  /** A node that was lost while its task runs is waited for: then it goes on where it was. */
  async #after(ended: LogSource, task: Task, reading: Reading): Promise<LogSource | undefined> {
    if (ended.lost === undefined) return undefined;
    if (ended.lost.code === 'NOT_LEADER') {
      this.#error = ended.lost;
      return undefined;
    }
    const { clock, dispatcher, silent } = this.#deps;
    while (!this.#closed && this.#runs(task.id)) {
      await Promise.race([delay(clock, LIMITS.logAgainMs), this.#ending]);
      if (this.#closed || !dispatcher.reachable(task.nodeId)) continue;
      silent.back(task.nodeId);
      this.#reader.wake();
      return new LogSource(this.#deps, task, resumed(reading));
    }
    return undefined;
  }

  #runs(taskId: string): boolean {
    const state = this.#deps.store.view.table('taskStatus').get(taskId)?.state;
    return state !== undefined && state < TaskState.COMPLETE;
  }

  /** An ended task stays known while it has a row, so that it is not opened twice. */
  #forgetLater(taskId: string): void {
    if (!this.#deps.store.view.table('task').has(taskId)) this.#sources.delete(taskId);
  }

  #onApplied(entry: AppliedEntry): void {
    for (const { table, id, after } of entry.changes) {
      if (table === 'service' && id === this.#serviceId && after === undefined) this.#reader.wake();
      if (table === 'task' && after === undefined) this.#sources.delete(id);
      if (table !== 'taskStatus' || after === undefined || this.#serviceId === '') continue;
      // From RUNNING on its agent has a log for sure.
      if ((after as TaskStatus).state < TaskState.RUNNING) continue;
      const task = this.#deps.store.view.table('task').get(id);
      if (task?.serviceId === this.#serviceId) this.add(task, 0);
    }
  }
}
