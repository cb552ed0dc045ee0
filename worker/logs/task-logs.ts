import { join } from 'node:path';
import type { LogRecord, LogRequest } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Component } from '../../shared/lifecycle.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { LOG_BOUNDS, type LogBounds } from '../../shared/log-options.ts';
import type { Io } from '../io.ts';
import { type LogSource, lastLines, readLog } from './log-reader.ts';
import type { OutputPiece } from './output-tap.ts';
import { TaskLog } from './task-log.ts';

/** One look at the sizes of all output files costs microseconds a task. */
const POLL_MS = 500;
/** Where somebody reads along, or more was written than one look takes. */
const EAGER_MS = 100;
/** Folders of old logs that are deleted in one go, and the pause between two of them. */
const REMOVED_AT_ONCE = 20;
const REMOVE_AGAIN_MS = 20;

export interface TaskLogsDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly log: Log;
  readonly stateDir: string;
  readonly nodeId: string;
}

/**
 * The logs of this node's tasks. A task writes into plain files and never waits for anybody; while
 * this runs they are emptied into bounded segments, in line form, with times.
 */
export class TaskLogs implements Component {
  readonly name = 'logs';
  readonly #deps: TaskLogsDeps;
  readonly #directory: string;
  readonly #live = new Map<string, TaskLog>();
  /** Logs that could not be taken at the last look. */
  readonly #refused = new WeakSet<TaskLog>();
  #timer: Timer | undefined;
  #collection: Timer | undefined;
  #eager = false;
  #stopped = false;

  constructor(deps: TaskLogsDeps) {
    this.#deps = deps;
    this.#directory = join(deps.stateDir, 'logs');
  }
  start(): void {
    this.#deps.io.mkdir(this.#directory);
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#collection?.cancel();
  }
  /** Holds the task's output files `out` and `err`. */
  directory(taskId: string): string {
    return join(this.#directory, taskId);
  }
  /** From now on the task's output is taken; what it wrote without us first. */
  attach(taskId: string, bounds: LogBounds = LOG_BOUNDS): void {
    if (this.#live.has(taskId) || this.#stopped) return;
    const { io, clock } = this.#deps;
    try {
      io.mkdir(this.directory(taskId));
      this.#live.set(taskId, new TaskLog(io, clock, this.directory(taskId), bounds));
    } catch (error) {
      this.#deps.log.warn({ task: taskId, error: messageOf(error) }, 'log can not be kept');
    }
    this.#arm(EAGER_MS);
  }
  /** The task has ended. */
  detach(taskId: string, bounds: LogBounds = LOG_BOUNDS): void {
    this.attach(taskId, bounds);
    try {
      this.#live.get(taskId)?.finish();
    } catch (error) {
      this.#deps.log.warn({ task: taskId, error: messageOf(error) }, 'end of the log not taken');
    }
    this.#live.delete(taskId);
  }
  /** Nobody knows the task any more: its log goes too. */
  remove(taskId: string): void {
    this.#live.delete(taskId);
    this.#deps.io.removeTree(this.directory(taskId));
  }
  /**
   * Of logs that belong to no task in `known` only the newest are kept. A few are deleted at a time:
   * thousands at once would keep a daemon that has just started from its tasks.
   */
  collect(known: ReadonlySet<string>): void {
    const { io } = this.#deps;
    const ended = io
      .list(this.#directory)
      .filter((id) => !known.has(id))
      .map((id) => ({ id, atMs: io.stat(this.directory(id))?.mtimeMs ?? 0 }))
      .sort((a, b) => b.atMs - a.atMs);
    this.#removeSome(ended.slice(LIMITS.endedLogsMax).map(({ id }) => id));
  }
  #removeSome(ids: readonly string[]): void {
    for (const id of ids.slice(0, REMOVED_AT_ONCE)) this.#deps.io.removeTree(this.directory(id));
    const left = ids.slice(REMOVED_AT_ONCE);
    if (left.length === 0) return;
    this.#collection = this.#deps.clock.setTimer(REMOVE_AGAIN_MS, () => this.#removeSome(left));
  }
  has(taskId: string): boolean {
    return this.#deps.io.stat(this.directory(taskId)) !== undefined;
  }
  /** Ends when everything asked for is told, or, following, when the task has ended. */
  read(taskId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    const live = this.#live.get(taskId);
    if (live !== undefined) this.#drain(live);
    if (request.follow) this.#arm(EAGER_MS);
    return readLog(this.#source(taskId), request, signal);
  }
  /** What it writes from now on, as it comes and not line by line, until it has ended. */
  async *output(taskId: string, signal: AbortSignal): AsyncIterable<OutputPiece> {
    const live = this.#live.get(taskId);
    if (live === undefined) return;
    const { io } = this.#deps;
    // The kernel tells of each write; should it forget one, the next look finds it.
    const watcher = io.watch(this.directory(taskId), () => this.#drain(live));
    const tap = live.tap();
    try {
      this.#arm(EAGER_MS);
      yield* tap.pieces(signal);
    } finally {
      watcher.close();
      tap.close();
    }
  }
  lastLines(taskId: string, count: number): readonly string[] {
    return lastLines(this.#source(taskId), count);
  }
  #source(taskId: string): LogSource {
    const { io, nodeId } = this.#deps;
    const live = this.#live.get(taskId);
    return { io, nodeId, taskId, directory: this.directory(taskId), live };
  }
  #arm(delayMs: number): void {
    if (this.#stopped || (this.#timer && (this.#eager || delayMs === POLL_MS))) return;
    this.#timer?.cancel();
    this.#eager = delayMs === EAGER_MS;
    this.#timer = this.#deps.clock.setTimer(delayMs, () => this.#look());
  }
  #look(): void {
    this.#timer = undefined;
    this.#eager = false;
    let eager = false;
    for (const log of this.#live.values()) {
      const more = this.#drain(log);
      eager ||= more || log.followed;
    }
    if (this.#live.size > 0) this.#arm(eager ? EAGER_MS : POLL_MS);
  }
  #drain(log: TaskLog): boolean {
    try {
      const more = log.drain();
      this.#refused.delete(log);
      return more;
    } catch (error) {
      // A full disk: the output stays where it is, and is taken later. Said once, not at every look.
      const told = this.#refused.has(log);
      this.#refused.add(log);
      const why = { log: log.directory, error: messageOf(error) };
      if (!told) this.#deps.log.warn(why, 'log not taken');
      return false;
    }
  }
}
