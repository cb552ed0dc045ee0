import {
  Backend,
  LoadBalanced,
  type NodeStatus,
  PortBinding,
  type Task,
  type TaskStatus,
} from '../../proto/index.ts';
import { slotKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import { boundLabels } from './bound-labels.ts';
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
  const found = onePerSlot(tasks.flatMap((task) => candidate(view, task) ?? []));
  const others = found.some((one) => one.standing === 'good');
  return LoadBalanced.create({
    serviceId,
    serviceName: service.spec?.name ?? '',
    ports: state.ports,
    clientAffinity: hasClientAffinity(view, serviceId),
    nodeLabels: boundLabels(view, state.ports),
    backends: found.map(({ backend, standing }) =>
      // A suspected node's endpoints get nothing new, unless they are all that is left.
      standing === 'draining' || standing === 'unready' || (standing === 'doubtful' && others)
        ? Backend.with(backend, { draining: true })
        : backend,
    ),
  });
}

interface Candidate {
  readonly task: Task;
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
    task,
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

/**
 * In start-first order two tasks of a slot run side by side for a moment. The new one goes in with the
 * entry that takes the old one out; or at once, where the node of the old one is suspected.
 */
function onePerSlot(found: readonly Candidate[]): Candidate[] {
  const chosen = new Map<string, Candidate>();
  for (const one of found) {
    if (one.standing === 'draining') continue;
    const slot = slotKey(one.task);
    const other = chosen.get(slot);
    if (other === undefined || goesBefore(one, other)) chosen.set(slot, one);
  }
  return found.flatMap((one): Candidate[] => {
    if (one.standing === 'draining' || chosen.get(slotKey(one.task)) === one) return [one];
    return one.standing === 'doubtful' ? [{ ...one, standing: 'draining' }] : [];
  });
}

function goesBefore(one: Candidate, other: Candidate): boolean {
  if (one.standing !== other.standing) return one.standing === 'good';
  return one.task.createdMs < other.task.createdMs;
}

/** Where the task answers: its ports on the address that its node publishes. */
function bindings(status: TaskStatus, node: NodeStatus): PortBinding[] {
  if (node.publishAddress === '') return [...status.ports];
  return status.ports.map((port) => PortBinding.with(port, { host: node.publishAddress }));
}

function bySlot(left: Task, right: Task): number {
  return left.slot - right.slot || (left.id < right.id ? -1 : 1);
}
