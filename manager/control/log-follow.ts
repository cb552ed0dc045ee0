import {
  type LogRecord,
  LogRequest,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { AppliedEntry, Store } from '../store/view.ts';
import { compareRecords, LogSource, type LogSourceDeps } from './log-source.ts';
import { Wakeup } from './wakeup.ts';

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
  #queue: LogRecord[] = [];
  #waiting: (() => void)[] = [];
  #closed = false;

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
    void this.#pump(task.id, source);
  }

  /** What has come since the last call, in order of time; waits for something. */
  async take(): Promise<LogRecord[]> {
    await this.#reader.wait();
    const records = this.#queue.sort(compareRecords);
    this.#queue = [];
    for (const go of this.#waiting.splice(0)) go();
    return records;
  }

  /** True when no line can come any more. */
  get ended(): boolean {
    if (this.#closed) return true;
    if (this.#open > 0 || this.#queue.length > 0) return false;
    return this.#serviceId === '' || !this.#deps.store.view.table('service').has(this.#serviceId);
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#reader.close();
    for (const source of this.#sources.values()) source.close();
    for (const go of this.#waiting.splice(0)) go();
  }

  async #pump(taskId: string, source: LogSource): Promise<void> {
    for (;;) {
      const record = await source.next();
      if (record === undefined || this.#closed) break;
      this.#queue.push(record);
      this.#reader.wake();
      if (this.#queue.length >= LIMITS.logQueueRecordsMax)
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#open--;
    this.#forgetLater(taskId);
    this.#reader.wake();
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
