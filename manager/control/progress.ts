import {
  EndedTask,
  Liveness,
  RolloutState,
  type Service,
  ServiceMode,
  ServiceProgress,
  type ServiceState,
  type Task,
  TaskProgress,
  type TaskSpec,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import { unpackReason } from '../loop/reason.ts';
import type { Entry } from '../loop/task-facts.ts';
import { revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { behind, isPublished, listenFailuresOf } from './listening.ts';
import { isAlive, isServing, type SlotState, slotsOf } from './slots.ts';
import { isFinal, sameTask, specOfTask } from './specs.ts';
import { fullView, newestStatus, saidBy, stateOf } from './views.ts';

type Transient = Pick<ControlDeps['dispatcher'], 'transientStatus'>;
type Known = Pick<ControlDeps['dispatcher'], 'transientStatus' | 'settledIndex'>;

/** What a caller waits for. */
export interface Awaited {
  /** Of the wish; an older one never counts as converged. */
  readonly version: number;
  /** How long a task has to stay up before it counts. */
  readonly settleMs: number;
  /** Cluster time. */
  readonly nowMs: number;
}

/** How far a service is from what its user wished, as of one state of the store. */
export function progressOf(
  view: View,
  service: Service,
  awaited: Awaited,
  dispatcher: Known,
): ServiceProgress {
  const state = view.table('serviceState').get(service.id);
  const slots = slotsOf(view, service);
  const tasks = currentTasks(view, service, slots);
  const ended = endedBefore(view, service, slots);
  const failure = failureOf(service, state, slots);
  const listenFailures = listenFailuresOf(view, state?.ports ?? []);
  const seen = service.version >= awaited.version && (state?.seenRevision ?? 0) >= service.revision;
  const complete = failure === '' && seen && isComplete(view, service, state, tasks);
  const settleLeftMs = complete ? settleLeft(view, tasks, awaited) : 0;
  const base = ServiceProgress.create({
    converged: complete && settleLeftMs === 0,
    settleLeftMs,
    failed: seen && failure !== '',
    message: failure !== '' ? failure : waitingFor(view, state, tasks),
    published: isPublished(view, service, state),
  });
  return ServiceProgress.with(base, {
    service: fullView(view, service),
    tasks: tasks.map((task) =>
      taskProgress(view, service, task, ended.get(task) ?? [], dispatcher),
    ),
    listenFailures,
    behind: behind(view, state, tasks, (nodeId) => dispatcher.settledIndex(nodeId)),
  });
}

/** The tasks that count now: one for each slot, and others that still run. */
function currentTasks(view: View, service: Service, slots: readonly SlotState[]): Task[] {
  const chosen = new Set<Task>();
  for (const { head, held } of slots) chosen.add((head ?? held)!.task);
  for (const task of view.table('task').by('service', service.id)) {
    const given = isFinal(task.desiredState) && isOutOfReach(view, task.nodeId);
    // What was replaced on a node that nobody hears cannot be waited for.
    if (!given && isAlive(task, view.table('taskStatus').get(task.id))) chosen.add(task);
  }
  return [...chosen].sort(
    (a, b) => a.slot - b.slot || a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1),
  );
}

function isOutOfReach(view: View, nodeId: string): boolean {
  return view.table('nodeStatus').get(nodeId)?.liveness === Liveness.DOWN;
}

const BUSY = [RolloutState.UPDATING, RolloutState.ROLLBACK_STARTED] as readonly RolloutState[];

const FAILED_ROLLOUTS: { readonly [state: number]: string } = {
  [RolloutState.PAUSED]: 'the update is paused',
  [RolloutState.ROLLBACK_PAUSED]: 'the rollback is paused',
  [RolloutState.ROLLBACK_COMPLETED]: 'the update failed and was rolled back',
};

function failureOf(
  service: Service,
  state: ServiceState | undefined,
  slots: readonly SlotState[],
): string {
  if (state === undefined) return '';
  if (state.quarantine !== '') return `the service is left alone: ${state.quarantine}`;
  const rollout = state.rollout;
  const asked = service.revision === state.runningRevision;
  const failed = rollout === null ? undefined : FAILED_ROLLOUTS[rollout.state];
  // A rollback that a user asked for ends as the wish itself; only an automatic one is a failure.
  const wished = rollout?.state === RolloutState.ROLLBACK_COMPLETED && asked;
  if (failed !== undefined && !wished)
    return rollout!.message === '' ? failed : `${failed}: ${rollout!.message}`;
  const held = slots.find((slot) => slot.held !== undefined)?.held;
  if (held !== undefined) return `task ${held.task.id} ${held.task.endReason || 'has ended'}`;
  return rollout !== null && BUSY.includes(rollout.state) ? '' : refusal(slots);
}

/** Nothing is under way any more: each task that is missing was refused by every node that fits. */
function refusal(slots: readonly SlotState[]): string {
  const missing = slots.filter((slot) => !slot.serving);
  const reasons = missing.map(({ head }) => unpackReason(head?.task.pendingReason ?? ''));
  const [first] = reasons;
  if (first === undefined || reasons.some((each) => each?.code !== 'refused-everywhere')) return '';
  return first.text;
}

function isComplete(
  view: View,
  service: Service,
  state: ServiceState | undefined,
  tasks: readonly Task[],
): boolean {
  if (state?.rollout && BUSY.includes(state.rollout.state)) return false;
  const serving = tasks.filter((task) => isServing(task, view.table('taskStatus').get(task.id)));
  const current = serving.filter((task) => !task.draining && isWished(view, service, task));
  // Every task that is shown is one that serves: nothing old runs, nothing new is missing.
  if (current.length !== tasks.length) return false;
  return service.spec?.mode !== ServiceMode.REPLICATED || current.length === service.spec.replicas;
}

/**
 * For how long the youngest task still has to stay up. One that passes a health or readiness check
 * has shown that it works, and is not waited for.
 */
function settleLeft(view: View, tasks: readonly Task[], { settleMs, nowMs }: Awaited): number {
  let leftMs = 0;
  for (const task of tasks) {
    const status = view.table('taskStatus').get(task.id);
    const untilMs = (status?.runningSinceMs ?? 0) + settleMs;
    if (untilMs > nowMs && !isChecked(specOfTask(view, task)?.task, status))
      leftMs = Math.max(leftMs, Math.ceil(untilMs - nowMs));
  }
  return Math.min(leftMs, settleMs);
}

function isChecked(spec: TaskSpec | null | undefined, status: TaskStatus | undefined): boolean {
  const hasReadiness = (spec?.ready?.http ?? '') !== '' || (spec?.ready?.tcp ?? '') !== '';
  return hasReadiness || status?.health === 'healthy';
}

/** Made from the wished revision, or from one that needs no other task. */
function isWished(view: View, service: Service, task: Task): boolean {
  if (task.revision === service.revision) return true;
  const own = view.table('serviceRevision').get(revisionKey(service.id, task.revision))?.spec;
  return own !== null && own !== undefined && service.spec !== null && sameTask(own, service.spec);
}

/** One line for who waits. */
function waitingFor(view: View, state: ServiceState | undefined, tasks: readonly Task[]): string {
  const rollout = state?.rollout;
  if (rollout && BUSY.includes(rollout.state) && rollout.message !== '') return rollout.message;
  for (const task of tasks) {
    const status = view.table('taskStatus').get(task.id);
    if (isServing(task, status)) continue;
    const pending = unpackReason(task.pendingReason)?.text ?? '';
    const said = pending || status?.err || '';
    if (said !== '') return said;
  }
  return '';
}

/** By head: a slot that does not stay up shows here, however fast its tasks are replaced. */
function endedBefore(
  view: View,
  service: Service,
  slots: readonly SlotState[],
): ReadonlyMap<Task, EndedTask[]> {
  const found = new Map<Task, EndedTask[]>();
  for (const { head, held, entries } of slots) {
    const ended = entries.filter(
      (entry) => endedByItself(entry) && isWished(view, service, entry.task),
    );
    const words = ended.map(({ task, status }) =>
      EndedTask.create({ id: task.id, message: status?.err || `exit code ${status?.exitCode}` }),
    );
    if (words.length > 0) found.set((head ?? held)!.task, words);
  }
  return found;
}

/** A task that its node refused never began: other nodes are tried. */
function endedByItself({ status }: Entry): boolean {
  if (status === undefined || status.lost) return false;
  return status.state === TaskState.FAILED || status.state === TaskState.COMPLETE;
}

function taskProgress(
  view: View,
  service: Service,
  task: Task,
  ended: readonly EndedTask[],
  dispatcher: Transient,
): TaskProgress {
  const status = newestStatus(view, task, dispatcher);
  const pending = unpackReason(task.pendingReason)?.text ?? '';
  return TaskProgress.create({
    id: task.id,
    slot: task.slot,
    nodeId: task.nodeId,
    nodeName: view.table('node').get(task.nodeId)?.name ?? '',
    state: stateOf(task, status),
    message: status?.err ? saidBy(status) : pending || (status?.message ?? ''),
    wishedRevision: isWished(view, service, task),
    ended,
  });
}
