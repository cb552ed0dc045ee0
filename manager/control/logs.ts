import {
  type LogRecord,
  LogRequest,
  LogsItem,
  type LogsRequest,
  type Task,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import type { FreshReads } from './freshness.ts';
import { LogFollower } from './log-follow.ts';
import { LogSource, mergeSources, SilentNodes } from './log-source.ts';
import { resolveService, resolveTask } from './resolve.ts';

interface Wanted {
  /** Empty: the log of one task. */
  readonly serviceId: string;
  readonly tasks: readonly Task[];
  readonly note: string;
}

/** Logs of a task, or of all tasks of a service as one. A node that is away costs one note. */
export class Logs {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async *stream(request: LogsRequest, context: CallContext): AsyncIterable<LogsItem> {
    const options = withStreams(request.options ?? LogRequest.create());
    await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const wanted = wantedTasks(view, request.ref, request.kind);
    if (wanted.note !== '') yield LogsItem.create({ note: wanted.note });
    const silent = new SilentNodes((id) => this.#nodeName(id));
    if (options.follow) yield* this.#followed(wanted, options, silent, context.signal);
    else yield* this.#merged(wanted, options, silent, context.signal);
  }

  async *#merged(
    wanted: Wanted,
    options: LogRequest,
    silent: SilentNodes,
    signal: AbortSignal,
  ): AsyncIterable<LogsItem> {
    const deps = { ...this.#deps, silent };
    const sources = wanted.tasks.map(
      (task) => new LogSource(deps, task, LogRequest.with(options, { taskId: task.id })),
    );
    try {
      let batch: LogRecord[] = [];
      for await (const record of mergeSources(sources)) {
        if (signal.aborted) return;
        yield* notesOf(silent);
        batch.push(record);
        if (batch.length < LIMITS.logBatchRecordsMax) continue;
        yield itemOf(batch);
        batch = [];
      }
      if (batch.length > 0) yield itemOf(batch);
      yield* notesOf(silent);
    } finally {
      for (const source of sources) source.close();
    }
  }

  async *#followed(
    wanted: Wanted,
    options: LogRequest,
    silent: SilentNodes,
    signal: AbortSignal,
  ): AsyncIterable<LogsItem> {
    const follower = new LogFollower({ ...this.#deps, silent }, wanted.serviceId, options, signal);
    try {
      for (const task of wanted.tasks) follower.add(task);
      yield* notesOf(silent);
      while (!follower.ended && !signal.aborted) {
        const records = await follower.take();
        for (let at = 0; at < records.length; at += LIMITS.logBatchRecordsMax)
          yield itemOf(records.slice(at, at + LIMITS.logBatchRecordsMax));
        yield* notesOf(silent);
      }
    } finally {
      follower.close();
    }
  }

  #nodeName(nodeId: string): string {
    return this.#deps.store.view.table('node').get(nodeId)?.name ?? nodeId;
  }
}

function* notesOf(silent: SilentNodes): Iterable<LogsItem> {
  for (const note of silent.take()) yield LogsItem.create({ note });
}

function itemOf(records: readonly LogRecord[]): LogsItem {
  return LogsItem.with(LogsItem.create(), { records });
}

/** Neither stream chosen means both. */
function withStreams(options: LogRequest): LogRequest {
  if (options.stdout || options.stderr) return options;
  return LogRequest.with(options, { stdout: true, stderr: true });
}

function wantedTasks(view: View, ref: string, kind: string): Wanted {
  if (kind !== '' && kind !== 'service' && kind !== 'task')
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `there are logs of a service or a task, not of a ${kind}`,
    );
  if (kind === 'task') return oneTask(view, ref);
  try {
    const service = resolveService(view, ref);
    const begun = [...view.table('task').by('service', service.id)].filter(
      (task) => task.nodeId !== '' && view.table('taskStatus').has(task.id),
    );
    begun.sort((a, b) => b.createdMs - a.createdMs);
    const tasks = begun.slice(0, LIMITS.logStreamsMax);
    const left = begun.length - tasks.length;
    const note = left === 0 ? '' : `the logs of the ${left} oldest tasks are left out`;
    return { serviceId: service.id, tasks, note };
  } catch (error) {
    if (kind === 'service' || !SwarmError.is(error) || error.code !== 'NOT_FOUND') throw error;
    return taskOr(view, ref, error);
  }
}

/** A reference that names no service may name a task; when neither, the service's error stands. */
function taskOr(view: View, ref: string, serviceError: SwarmError): Wanted {
  try {
    return oneTask(view, ref);
  } catch (error) {
    throw SwarmError.is(error) && error.code === 'NOT_FOUND' ? serviceError : error;
  }
}

function oneTask(view: View, ref: string): Wanted {
  const task = resolveTask(view, ref);
  if (task.nodeId !== '') return { serviceId: '', tasks: [task], note: '' };
  throw new SwarmError('PRECONDITION', `task ${ref} has no log: it was never given to a node`, {
    advice: 'swarm why says what it waits for.',
    command: `swarm why ${ref}`,
  });
}
