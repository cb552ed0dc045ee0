import {
  Backend,
  LoadBalanced,
  type NodeStatus,
  PortBinding,
  type Task,
  type TaskStatus,
} from '../../proto/index.ts';
import type { View } from '../store/view.ts';
import { hasClientAffinity } from './client-affinity.ts';
import { type Standing, standingOf } from './standing.ts';

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
    clientAffinity: hasClientAffinity(view, serviceId),
    backends: found.map(({ backend, standing }) =>
      // A suspected node's endpoints get nothing new, unless they are all that is left.
      standing === 'draining' || standing === 'unready' || (standing === 'doubtful' && others)
        ? Backend.with(backend, { draining: true })
        : backend,
    ),
  });
}

interface Candidate {
  readonly backend: Backend;
  readonly standing: Standing;
}

function candidate(view: View, task: Task): Candidate | undefined {
  const standing = standingOf(view, task);
  const status = view.table('taskStatus').get(task.id);
  const node = view.table('nodeStatus').get(task.nodeId);
  if (standing === 'none' || status === undefined || node === undefined) return undefined;
  // On its first network, or on the ingress.
  const own = task.attachments[0];
  return {
    backend: Backend.create({
      taskId: task.id,
      nodeId: task.nodeId,
      slot: task.slot,
      draining: false,
      ports: bindings(status, node),
      address: own?.address ?? '',
      address6: own?.address6 ?? '',
    }),
    standing,
  };
}

/** Where the task answers: its ports on the address that its node publishes. */
function bindings(status: TaskStatus, node: NodeStatus): PortBinding[] {
  if (node.publishAddress === '') return [...status.ports];
  return status.ports.map((port) => PortBinding.with(port, { host: node.publishAddress }));
}

function bySlot(left: Task, right: Task): number {
  return left.slot - right.slot || (left.id < right.id ? -1 : 1);
}
