import { type Task, TaskState } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { resolveService, resolveTask, taskName } from './resolve.ts';
import { serviceName, stateName } from './specs.ts';
import { newestStatus, stateOf } from './views.ts';

type Transient = Pick<ControlDeps['dispatcher'], 'transientStatus'>;

/**
 * The task that somebody wants to look into: a task's id, SERVICE.SLOT, SERVICE.NODE, or a service,
 * of which it is the first that is ready. Throws NOT_FOUND or AMBIGUOUS, and PRECONDITION where
 * nothing of the kind runs.
 */
export function runningTask(view: View, ref: string, dispatcher: Transient): Task {
  const exact = view.table('task').get(ref);
  if (exact !== undefined) return pick([exact], `task ${ref}`, view, dispatcher);
  const slot = tasksOfPlace(view, ref);
  if (slot.length > 0) return pick(slot, `task ${ref}`, view, dispatcher);
  let missing: unknown;
  try {
    const service = resolveService(view, ref);
    const tasks = [...view.table('task').by('service', service.id)];
    return pick(tasks, `service ${serviceName(service)}`, view, dispatcher);
  } catch (error) {
    if (!SwarmError.is(error) || error.code !== 'NOT_FOUND') throw error;
    missing = error;
  }
  try {
    return pick([resolveTask(view, ref)], `task ${ref}`, view, dispatcher);
  } catch (error) {
    if (!SwarmError.is(error) || error.code !== 'NOT_FOUND') throw error;
    throw ref.includes('.') ? error : missing;
  }
}

/** The same, or where nothing of it runs the newest of that id or slot that did: its files are kept. */
export function lastTask(view: View, ref: string, dispatcher: Transient): Task {
  try {
    return runningTask(view, ref, dispatcher);
  } catch (error) {
    if (!SwarmError.is(error) || error.code !== 'PRECONDITION') throw error;
    const exact = view.table('task').get(ref);
    const tasks = exact === undefined ? tasksOfPlace(view, ref) : [exact];
    const [newest] = tasks
      .filter(({ nodeId }) => nodeId !== '')
      .sort((a, b) => b.createdMs - a.createdMs);
    if (newest === undefined) throw error;
    return newest;
  }
}

/** web.3, or web.NODE of a global service: all tasks that there were and are. */
function tasksOfPlace(view: View, ref: string): Task[] {
  const at = ref.indexOf('.');
  if (at <= 0) return [];
  const [service] = view.table('service').by('name', ref.slice(0, at));
  if (service === undefined) return [];
  return [...view.table('task').by('service', service.id)].filter(
    (task) => taskName(view, task) === ref,
  );
}

/** The first by slot that runs, one that is ready before others. */
function pick(tasks: readonly Task[], what: string, view: View, dispatcher: Transient): Task {
  const running = tasks
    .map((task) => ({ task, status: newestStatus(view, task, dispatcher) }))
    .filter(({ task, status }) => runs(stateOf(task, status)))
    .sort(
      (a, b) =>
        Number(b.status?.ready ?? false) - Number(a.status?.ready ?? false) ||
        a.task.slot - b.task.slot ||
        b.task.createdMs - a.task.createdMs,
    );
  const [first] = running;
  if (first !== undefined) return first.task;
  const newest = [...tasks].sort((a, b) => b.createdMs - a.createdMs)[0];
  throw notRunning(what, newest, view, dispatcher);
}

function runs(state: TaskState): boolean {
  return state === TaskState.RUNNING || state === TaskState.STARTING;
}

function notRunning(
  what: string,
  newest: Task | undefined,
  view: View,
  dispatcher: Transient,
): SwarmError {
  const ref = what.slice(what.indexOf(' ') + 1);
  const options = { advice: 'swarm why says what became of it.', command: `swarm why ${ref}` };
  if (newest === undefined) {
    return new SwarmError('PRECONDITION', `${what} has no tasks`, options);
  }
  const status = newestStatus(view, newest, dispatcher);
  const state = stateName(stateOf(newest, status)).toLowerCase();
  const why = status?.err ? ` (${status.err})` : '';
  const said = what.startsWith('service')
    ? `${what} has no running task: the newest is ${state}${why}`
    : `${what} is not running: it is ${state}${why}`;
  return new SwarmError('PRECONDITION', said, options);
}
