import type { LogRecord, LogRequest, Task } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { ControlDeps } from './deps.ts';

/** What is missing: a node that cannot be asked is named once, however many of its tasks count. */
export class SilentNodes {
  readonly #nameOf: (nodeId: string) => string;
  readonly #known = new Set<string>();
  #notes: string[] = [];

  constructor(nameOf: (nodeId: string) => string) {
    this.#nameOf = nameOf;
  }

  add(nodeId: string, why: string): void {
    if (this.#known.has(nodeId)) return;
    this.#known.add(nodeId);
    this.#notes.push(`the logs on node ${this.#nameOf(nodeId)} are missing: ${why}`);
  }
  /** The log of one task alone is missing. */
  addTask(task: Task, why: string): void {
    this.#notes.push(
      `the log of task ${task.id} on node ${this.#nameOf(task.nodeId)} is missing: ${why}`,
    );
  }
  /** It answers again: what comes from it is told again, and so is its next silence. */
  back(nodeId: string): void {
    if (this.#known.delete(nodeId))
      this.#notes.push(`the logs on node ${this.#nameOf(nodeId)} go on`);
  }
  has(nodeId: string): boolean {
    return this.#known.has(nodeId);
  }
  /** Notes since the last call. */
  take(): string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }
}

export interface LogSourceDeps {
  readonly clock: Clock;
  readonly dispatcher: Pick<ControlDeps['dispatcher'], 'openLogs' | 'reachable'>;
  readonly silent: SilentNodes;
}

/** The log of one task, read record by record; `head` is the next one. */
export class LogSource {
  readonly #deps: LogSourceDeps;
  readonly #task: Task;
  readonly #follows: boolean;
  readonly #abort = new AbortController();
  #iterator: AsyncIterator<LogRecord> | undefined;
  #lost: SwarmError | undefined;
  head: LogRecord | undefined;

  constructor(deps: LogSourceDeps, task: Task, request: LogRequest) {
    this.#deps = deps;
    this.#task = task;
    this.#follows = request.follow;
    const { dispatcher, silent } = deps;
    if (!dispatcher.reachable(task.nodeId)) {
      this.#lost = new SwarmError('NO_ANSWER', 'it does not answer');
      silent.add(task.nodeId, this.#lost.message);
      return;
    }
    try {
      const records = dispatcher.openLogs(task.nodeId, request, this.#abort.signal);
      this.#iterator = records[Symbol.asyncIterator]();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Why it ended although its log did not; NOT_LEADER: another manager has to be asked. */
  get lost(): SwarmError | undefined {
    return this.#lost;
  }

  /** The next record, waiting without an end; undefined after the last, or when the node is lost. */
  async next(): Promise<LogRecord | undefined> {
    if (this.#iterator === undefined) return undefined;
    try {
      const { done, value } = await this.#iterator.next();
      if (done !== true) return value;
    } catch (error) {
      this.#failed(error);
    }
    this.#iterator = undefined;
    return undefined;
  }

  /** Moves `head` on; a node that is silent for 3 s counts as lost. */
  async advance(): Promise<void> {
    this.head = undefined;
    if (this.#deps.silent.has(this.#task.nodeId)) this.close();
    if (this.#iterator === undefined) return;
    this.head = await new Promise<LogRecord | undefined>((resolve) => {
      const timer = this.#deps.clock.setTimer(LIMITS.logSilentMs, () => {
        const quietS = LIMITS.logSilentMs / 1_000;
        this.#deps.silent.add(this.#task.nodeId, `it was silent for ${quietS} s`);
        this.close();
        resolve(undefined);
      });
      void this.next().then((record) => {
        timer.cancel();
        resolve(record);
      });
    });
  }

  close(): void {
    const iterator = this.#iterator;
    this.#iterator = undefined;
    this.#abort.abort();
    // A stream that is ended while it is read may reject; whoever reads it has gone.
    iterator?.return?.().catch(() => undefined);
  }

  /** The error of a stream that was closed here says nothing about its node. */
  #failed(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (SwarmError.is(error) && LOST.includes(error.code)) {
      this.#lost = error;
      // Who follows asks the next leader.
      const asksOn = this.#follows && error.code === 'NOT_LEADER';
      if (!asksOn) this.#deps.silent.add(this.#task.nodeId, error.message);
    } else this.#deps.silent.addTask(this.#task, messageOf(error));
  }
}

const LOST: readonly string[] = ['NO_ANSWER', 'UNREACHABLE', 'DEADLINE', 'NOT_LEADER'];

/** By time; records of one moment keep the order of their tasks. */
export function compareRecords(a: LogRecord, b: LogRecord): number {
  return a.atWallMs - b.atWallMs || a.atNanos - b.atNanos || (a.taskId < b.taskId ? -1 : 1);
}

/** All sources in one order of time, until each has ended or is given up. */
export async function* mergeSources(sources: readonly LogSource[]): AsyncIterable<LogRecord> {
  await Promise.all(sources.map((source) => source.advance()));
  let live = sources.filter((source) => source.head !== undefined);
  while (live.length > 0) {
    let first = live[0]!;
    for (const source of live) if (compareRecords(source.head!, first.head!) < 0) first = source;
    yield first.head!;
    await first.advance();
    if (first.head === undefined) live = live.filter((source) => source !== first);
  }
}
