import {
  ListenFailure,
  Liveness,
  type NodeStatus,
  type PortConfig,
  PublishMode,
  type Service,
  type ServiceState,
  type Task,
} from '../../proto/index.ts';
import type { View } from '../store/view.ts';

/**
 * Where published ports are listened on. A node that has just fallen silent counts: it goes on
 * listening, and what it has not told yet is either told soon or the node is down.
 */
function listeners(view: View): NodeStatus[] {
  return [...view.table('nodeStatus').all()].filter(
    ({ liveness }) => liveness === Liveness.READY || liveness === Liveness.SUSPECT,
  );
}

/** Ports that some node cannot listen on; the reason begins with the node's name. */
export function listenFailuresOf(view: View, ports: readonly PortConfig[]): ListenFailure[] {
  const wanted = new Set(
    ports.filter(isIngress).map((port) => `${port.protocol}/${port.published}`),
  );
  if (wanted.size === 0) return [];
  const found: ListenFailure[] = [];
  for (const status of listeners(view)) {
    const node = view.table('node').get(status.id);
    if (node === undefined) continue;
    for (const { protocol, port, reason } of status.listenFailures)
      if (wanted.has(`${protocol}/${port}`))
        found.push(ListenFailure.create({ protocol, port, reason: `${node.name}: ${reason}` }));
  }
  return found.sort((a, b) => a.port - b.port || (a.reason < b.reason ? -1 : 1));
}

/** Names of nodes on which the service's ports do not lead to all of these tasks yet. */
export function behind(
  view: View,
  state: ServiceState | undefined,
  tasks: readonly Task[],
  settledIndex: (nodeId: string) => number | undefined,
): string[] {
  if (state === undefined || !state.ports.some(isIngress)) return [];
  let index = state.version;
  for (const task of tasks) {
    const status = view.table('taskStatus').get(task.id);
    index = Math.max(index, task.version, status?.version ?? 0);
  }
  const late = listeners(view).filter(({ id }) => (settledIndex(id) ?? 0) < index);
  return late.flatMap(({ id }) => view.table('node').get(id)?.name ?? []).sort();
}

/** At least one node listens on every port that the service asks for. */
export function isPublished(
  view: View,
  service: Service,
  state: ServiceState | undefined,
): boolean {
  const asked = (service.spec?.endpoint?.ports ?? []).filter(isIngress);
  if (asked.length === 0) return true;
  const given = (state?.ports ?? []).filter(isIngress);
  if (given.length < asked.length) return false;
  const keys = new Set(given.map((port) => `${port.protocol}/${port.published}`));
  return listeners(view).some(
    ({ listenFailures }) =>
      !listenFailures.some(({ protocol, port }) => keys.has(`${protocol}/${port}`)),
  );
}

function isIngress(port: PortConfig): boolean {
  return port.mode === PublishMode.INGRESS;
}
