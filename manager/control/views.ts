import {
  type Init,
  Liveness,
  type Node,
  NodeView,
  type PortBinding,
  PublishMode,
  type RaftStatus,
  type Service,
  ServiceMode,
  type ServiceSpec,
  ServiceView,
  type Task,
  TaskState,
  type TaskStatus,
  TaskView,
} from '../../proto/index.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { listenFailuresOf } from './listening.ts';
import { slotsOf } from './slots.ts';
import { describeTask, isFinal, serviceName, specOfTask } from './specs.ts';
import { serviceWarnings, shortages, someOf } from './warnings.ts';

type Transient = Pick<ControlDeps['dispatcher'], 'transientStatus'>;

/** A service as `ls` shows it. */
export function serviceView(
  view: View,
  service: Service,
  warnings: readonly string[] = [],
): ServiceView {
  const tasks = [...view.table('task').by('service', service.id)];
  let running = 0;
  let completed = 0;
  for (const task of tasks) {
    const state = view.table('taskStatus').get(task.id)?.state ?? task.state;
    if (task.desiredState <= TaskState.RUNNING && !task.draining) {
      if (state === TaskState.RUNNING) running++;
    }
    if (state === TaskState.COMPLETE) completed++;
  }
  const replicated = service.spec?.mode === ServiceMode.REPLICATED;
  const wanted = replicated ? service.spec.replicas : slotsOf(view, service).length;
  const desired = service.removing ? 0 : wanted;
  const state = view.table('serviceState').get(service.id) ?? null;
  return ServiceView.with(ServiceView.create({ desired, running, completed, warnings }), {
    service,
    state,
  });
}

/** The same with what the user should know of its spec and ports: costs a look at every node. */
export function fullView(view: View, service: Service): ServiceView {
  const doubts = service.spec === null ? [] : serviceWarnings(view, service.spec);
  const ports = view.table('serviceState').get(service.id)?.ports ?? [];
  const taken = listenFailuresOf(view, ports).map(({ port, reason }) => `port ${port}: ${reason}`);
  const lacking = [...shortages(view, service.id)].map(
    ([words, nodes]) => `${someOf(nodes)}: it ${words}`,
  );
  return serviceView(view, service, [...doubts, ...taken, ...lacking]);
}

/** The newest word about a task: committed, or what its agent told for people since. */
export function newestStatus(
  view: View,
  task: Task,
  dispatcher: Transient,
): TaskStatus | undefined {
  const committed = view.table('taskStatus').get(task.id);
  const told = dispatcher.transientStatus(task.id);
  if (told === undefined) return committed;
  return committed === undefined || told.state > committed.state ? told : committed;
}

export function stateOf(task: Task, status: TaskStatus | undefined): TaskState {
  return status !== undefined && status.state > task.state ? status.state : task.state;
}

/** Its own words: how it ended, or why the try before failed and what it does about it. */
export function saidBy(status: TaskStatus | undefined): string {
  if (status === undefined) return '';
  const { state, err, message } = status;
  if (state > TaskState.RUNNING) return err || message;
  return [err, message].filter((text) => text !== '').join('; ');
}

export function taskView(view: View, task: Task, dispatcher: Transient): TaskView {
  const status = newestStatus(view, task, dispatcher);
  const service = view.table('service').get(task.serviceId);
  const spec = specOfTask(view, task);
  const base = TaskView.create({
    serviceName: service === undefined ? '' : serviceName(service),
    nodeName: view.table('node').get(task.nodeId)?.name ?? '',
    state: stateOf(task, status),
    image: describeTask(spec?.task),
    ports: isFinal(stateOf(task, status)) ? [] : ownPorts(spec, status),
  });
  return TaskView.with(base, { task, status: status ?? null });
}

/**
 * What is published in host mode, and where a process listens. A container's task ports are a matter
 * of its node: nobody is to dial them.
 */
function ownPorts(
  spec: ServiceSpec | undefined,
  status: TaskStatus | undefined,
): readonly Init<PortBinding>[] {
  const published = (spec?.endpoint?.ports ?? [])
    .filter(({ mode, published }) => mode === PublishMode.HOST && published > 0)
    .map(({ protocol, target, published, bind }) => {
      return { protocol, target, host: bind, port: published };
    });
  return spec?.task?.process ? [...published, ...(status?.ports ?? [])] : published;
}

export interface NodeSurroundings {
  readonly view: View;
  readonly raft: RaftStatus;
  readonly leaderId: string;
  readonly selfNodeId: string;
}

export function nodeView(node: Node, around: NodeSurroundings): NodeView {
  const { view } = around;
  const member = view.table('member').get(node.id) ?? null;
  let running = 0;
  for (const task of view.table('task').by('node', node.id))
    if (view.table('taskStatus').get(task.id)?.state === TaskState.RUNNING) running++;
  const self = node.id === around.selfNodeId;
  const status = view.table('nodeStatus').get(node.id) ?? null;
  // Under a leader only its raft knows who answers; every agent has its session with the leader.
  const raftKnows = around.leaderId === around.selfNodeId || around.leaderId === '';
  const answers =
    member !== null && raftKnows
      ? around.raft.members.some((other) => other.nodeId === node.id && other.active)
      : status?.liveness === Liveness.READY;
  const leader = node.id === around.leaderId;
  const base = NodeView.create({ leader, reachable: answers || self || leader, self, running });
  return NodeView.with(base, { node, status, member });
}

/** Order of `ps`: by service, slot, and the newest of a slot first. */
export function compareTasks(a: TaskView, b: TaskView): number {
  if (a.serviceName !== b.serviceName) return a.serviceName < b.serviceName ? -1 : 1;
  if (a.task!.slot !== b.task!.slot) return a.task!.slot - b.task!.slot;
  if (a.task!.slot === 0 && a.nodeName !== b.nodeName) return a.nodeName < b.nodeName ? -1 : 1;
  return b.task!.createdMs - a.task!.createdMs || (a.task!.id < b.task!.id ? -1 : 1);
}
