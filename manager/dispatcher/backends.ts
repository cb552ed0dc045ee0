import {
  Backend,
  Liveness,
  LoadBalanced,
  type NodeStatus,
  PortBinding,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import type { View } from '../store/view.ts';

/**
 * The load-balancing row of a service: its published ports and the tasks behind them. Pure: every
 * node gets the same, from committed rows alone. `undefined`: the service publishes nothing.
 */
export function loadBalanced(view: View, serviceId: string): LoadBalanced | undefined {
  const service = view.table('service').get(serviceId);
  const state = view.table('serviceState').get(serviceId);
  if (service === undefined || state === undefined || state.ports.length === 0) return undefined;
  const tasks = [...view.table('task').by('service', serviceId)].sort(bySlot);
  const found = tasks.flatMap((task) => candidate(view, task) ?? []);
  const others = found.some((one) => one.standing === 'good');
  return LoadBalanced.create({
    serviceId,
    serviceName: service.spec?.name ?? '',
    ports: state.ports,
    backends: found.map(({ backend, standing }) =>
      // A suspected node's endpoints get nothing new, unless they are all that is left.
      standing === 'draining' || (standing === 'doubtful' && others)
        ? Backend.with(backend, { draining: true })
        : backend,
    ),
  });
}

interface Candidate {
  readonly backend: Backend;
  readonly standing: 'good' | 'doubtful' | 'draining';
}

function candidate(view: View, task: Task): Candidate | undefined {
  const status = view.table('taskStatus').get(task.id);
  if (task.nodeId === '' || status?.state !== TaskState.RUNNING) return undefined;
  const node = view.table('nodeStatus').get(task.nodeId);
  if (node === undefined || !mayAnswer(node.liveness)) return undefined;
  const leaving = task.draining || task.desiredState > TaskState.RUNNING;
  // One that is not ready gets nothing new; connections that it still has are left to it.
  if (!status.ready && !leaving) return undefined;
  const draining = leaving || node.liveness === Liveness.LEAVING;
  const doubtful = node.liveness === Liveness.SUSPECT;
  return {
    backend: Backend.create({
      taskId: task.id,
      nodeId: task.nodeId,
      slot: task.slot,
      draining: false,
      ports: bindings(status, node),
    }),
    standing: draining ? 'draining' : doubtful ? 'doubtful' : 'good',
  };
}

function mayAnswer(liveness: Liveness): boolean {
  return liveness !== Liveness.DOWN && liveness !== Liveness.UNKNOWN;
}

/** Where the task answers: its ports on the address that its node publishes. */
function bindings(status: TaskStatus, node: NodeStatus): PortBinding[] {
  if (node.publishAddress === '') return [...status.ports];
  return status.ports.map((port) => PortBinding.with(port, { host: node.publishAddress }));
}

function bySlot(left: Task, right: Task): number {
  return left.slot - right.slot || (left.id < right.id ? -1 : 1);
}
