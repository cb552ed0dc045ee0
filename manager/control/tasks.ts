import {
  GetTaskResponse,
  type ListRequest,
  ListTasksResponse,
  type Ref,
  TaskState,
  type TaskView,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { compileFilters, enumFilter, type FilterTable, hasLabel } from './filters.ts';
import { type FreshReads, findIn } from './freshness.ts';
import { resolveNode, resolveService, resolveTask, taskName } from './resolve.ts';
import { specOfTask } from './specs.ts';
import { compareTasks, taskView } from './views.ts';

/** Tasks are looked at here, never changed: they are the loop's. */
export class Tasks {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async list(request: ListRequest, context: CallContext): Promise<ListTasksResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const filters = request.filters.map((filter) => this.#withIds(view, filter.key, filter.value));
    const passes = compileFilters(filters, filterTable(view));
    const views: TaskView[] = [];
    for (const task of this.#candidates(view, filters)) {
      const shown = taskView(view, task, this.#deps.dispatcher);
      if (passes(shown)) views.push(shown);
    }
    views.sort(compareTasks);
    return ListTasksResponse.with(ListTasksResponse.create(), { tasks: views, freshness });
  }

  async get(request: Ref, context: CallContext): Promise<GetTaskResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const task = findIn(freshness, () => resolveTask(view, request.ref));
    return GetTaskResponse.with(GetTaskResponse.create(), {
      task: taskView(view, task, this.#deps.dispatcher),
      spec: specOfTask(view, task) ?? null,
      freshness,
    });
  }

  /** Filters by service and node name the object in any way, and fail when there is none. */
  #withIds(view: View, key: string, value: string): { key: string; value: string } {
    if (key === 'service') return { key, value: resolveService(view, value).id };
    if (key === 'node') return { key, value: resolveNode(view, value, this.#deps.selfNodeId).id };
    return { key, value };
  }

  /** Only tasks that can pass, where an index says which: `ps` of one service stays cheap. */
  *#candidates(view: View, filters: readonly { key: string; value: string }[]) {
    const key = ['service', 'node'].find((word) => filters.some((filter) => filter.key === word));
    if (key === undefined) return yield* view.table('task').all();
    const values = new Set(filters.filter((filter) => filter.key === key).map((f) => f.value));
    for (const value of values) yield* view.table('task').by(key, value);
  }
}

function filterTable(view: View): FilterTable<TaskView> {
  return {
    id: (row, value) => row.task!.id.startsWith(value),
    name: (row, value) => taskName(view, row.task!).startsWith(value),
    service: (row, value) => row.task!.serviceId === value,
    node: (row, value) => row.task!.nodeId === value,
    slot: (row, value) => String(row.task!.slot) === value,
    label: (row, value) => {
      const spec = specOfTask(view, row.task!);
      return hasLabel(spec?.task?.process?.labels ?? spec?.task?.container?.labels ?? {}, value);
    },
    'desired-state': (row, value) => matchesDesired(row.task!.desiredState, value),
    state: (row, value) => row.state === enumFilter(value, TaskState, 'state'),
  };
}

/** Docker's three words; a task that waits for its restart is wanted running. */
function matchesDesired(desired: TaskState, value: string): boolean {
  switch (value.toLowerCase()) {
    case 'running':
      return desired <= TaskState.RUNNING;
    case 'accepted':
    case 'ready':
      return desired === TaskState.READY || desired === TaskState.ACCEPTED;
    case 'shutdown':
      return desired > TaskState.RUNNING;
    default:
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `filter desired-state: "${value}" is none of running, ready, accepted, shutdown`,
      );
  }
}
