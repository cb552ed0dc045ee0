import {
  ListenFailure,
  Liveness,
  type PortConfig,
  PublishMode,
  RolloutState,
  type Service,
  ServiceMode,
  ServiceProgress,
  type ServiceState,
  type Task,
  TaskProgress,
} from '../../proto/index.ts';
import { unpackReason } from '../loop/reason.ts';
import { revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { isAlive, isServing, type SlotState, slotsOf } from './slots.ts';
import { isFinal, sameTask } from './specs.ts';
import { fullView, newestStatus, stateOf } from './views.ts';

type Transient = Pick<ControlDeps['dispatcher'], 'transientStatus'>;
type Known = Pick<ControlDeps['dispatcher'], 'transientStatus' | 'settledIndex'>;

/**
 * How far a service is from what its user wished, as of one state of the store. `version` is that of
 * the wish which is waited for: an older one never counts as converged.
 */
export function progressOf(
  view: View,
  service: Service,
  version: number,
  dispatcher: Known,
): ServiceProgress {
  const state = view.table('serviceState').get(service.id);
  const slots = slotsOf(view, service);
  const tasks = currentTasks(view, service, slots);
  const failure = failureOf(service, state, slots);
  const listenFailures = listenFailuresOf(view, state?.ports ?? []);
  const seen = service.version >= version && (state?.seenRevision ?? 0) >= service.revision;
  const converged = failure === '' && seen && isConverged(view, service, state, tasks);
  const base = ServiceProgress.create({
    converged,
    failed: seen && failure !== '',
    message: failure !== '' ? failure : waitingFor(view, state, tasks),
    published: isPublished(view, service, state),
  });
  return ServiceProgress.with(base, {
    service: fullView(view, service),
    tasks: tasks.map((task) => taskProgress(view, service, task, dispatcher)),
    listenFailures,
    behind: behind(view, state, tasks, dispatcher),
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

function isConverged(
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

function taskProgress(
  view: View,
  service: Service,
  task: Task,
  dispatcher: Transient,
): TaskProgress {
  const status = newestStatus(view, task, dispatcher);
  return TaskProgress.create({
    id: task.id,
    slot: task.slot,
    nodeId: task.nodeId,
    nodeName: view.table('node').get(task.nodeId)?.name ?? '',
    state: stateOf(task, status),
    message: status?.err || unpackReason(task.pendingReason)?.text || status?.message || '',
    wishedRevision: isWished(view, service, task),
  });
}

/** Ports that some node cannot listen on; the reason begins with the node's name. */
export function listenFailuresOf(view: View, ports: readonly PortConfig[]): ListenFailure[] {
  const wanted = new Set(
    ports.filter(isIngress).map((port) => `${port.protocol}/${port.published}`),
  );
  if (wanted.size === 0) return [];
  const found: ListenFailure[] = [];
  for (const status of view.table('nodeStatus').all()) {
    const node = view.table('node').get(status.id);
    if (status.liveness !== Liveness.READY || node === undefined) continue;
    for (const { protocol, port, reason } of status.listenFailures)
      if (wanted.has(`${protocol}/${port}`))
        found.push(ListenFailure.create({ protocol, port, reason: `${node.name}: ${reason}` }));
  }
  return found.sort((a, b) => a.port - b.port || (a.reason < b.reason ? -1 : 1));
}

/** Ready nodes on which the service's ports do not lead to all of these tasks yet. */
function behind(
  view: View,
  state: ServiceState | undefined,
  tasks: readonly Task[],
  dispatcher: Known,
): string[] {
  if (state === undefined || !state.ports.some(isIngress)) return [];
  let index = state.version;
  for (const task of tasks) {
    const status = view.table('taskStatus').get(task.id);
    index = Math.max(index, task.version, status?.version ?? 0);
  }
  const names: string[] = [];
  for (const { id, liveness } of view.table('nodeStatus').all()) {
    const late = liveness === Liveness.READY && (dispatcher.settledIndex(id) ?? 0) < index;
    const node = late ? view.table('node').get(id) : undefined;
    if (node !== undefined) names.push(node.name);
  }
  return names.sort();
}

function isPublished(view: View, service: Service, state: ServiceState | undefined): boolean {
  const asked = (service.spec?.endpoint?.ports ?? []).filter(isIngress);
  if (asked.length === 0) return true;
  const given = (state?.ports ?? []).filter(isIngress);
  if (given.length < asked.length) return false;
  const keys = given.map((port) => `${port.protocol}/${port.published}`);
  for (const status of view.table('nodeStatus').all()) {
    if (status.liveness !== Liveness.READY) continue;
    const failed = status.listenFailures.map((failure) => `${failure.protocol}/${failure.port}`);
    if (!keys.some((key) => failed.includes(key))) return true;
  }
  return false;
}

function isIngress(port: PortConfig): boolean {
  return port.mode === PublishMode.INGRESS;
}
