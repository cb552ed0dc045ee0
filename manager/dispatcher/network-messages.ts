import {
  AttachedNetwork,
  NetworkEndpoint,
  NetworkPeer,
  NetworkService,
  type Task,
} from '../../proto/index.ts';
import { poolsOf } from '../loop/addressing/free-subnet.ts';
import { isOverlayNode } from '../loop/addressing/needs.ts';
import { INGRESS } from '../loop/addressing/predefined.ts';
import { isAssigned, isOver } from '../loop/task-facts.ts';
import type { View } from '../store/view.ts';
import { hasClientAffinity } from './client-affinity.ts';
import { type Standing, standingOf } from './standing.ts';

/** What nodes build networks from. Pure: every node gets the same, from committed rows alone. */

/** A node as the others reach it; undefined: it carries no traffic between containers. */
export function networkPeer(view: View, nodeId: string): NetworkPeer | undefined {
  const status = view.table('nodeStatus').get(nodeId);
  const index = view.table('nodeState').get(nodeId)?.index ?? 0;
  if (!view.table('node').has(nodeId) || index === 0 || !isOverlayNode(status)) return undefined;
  const description = status!.description!;
  return NetworkPeer.create({
    nodeId,
    index,
    dataAddress: description.dataAddress,
    dataPort: poolsOf(view).dataPort,
    wireguardKey: description.wireguardKey,
    addresses: description.addresses,
  });
}

/** Undefined: it has no numbers yet, or is gone. */
export function attachedNetwork(view: View, networkId: string): AttachedNetwork | undefined {
  const network = view.table('network').get(networkId);
  const state = view.table('networkState').get(networkId);
  if (network === undefined || state === undefined || state.index === 0) return undefined;
  const { spec } = network;
  return AttachedNetwork.create({
    id: networkId,
    name: spec?.name ?? '',
    index: state.index,
    vni: state.vni,
    subnets: state.subnets,
    mtu: state.mtu,
    internal: spec?.internal ?? false,
    encrypted: spec?.encrypted ?? false,
    ingress: networkId === INGRESS,
  });
}

/** A service on each network where it has tasks or a virtual address. Nobody has a name on the ingress. */
export function networkServices(view: View, serviceId: string): Map<string, NetworkService> {
  const service = view.table('service').get(serviceId);
  const state = view.table('serviceState').get(serviceId);
  const rows = new Map<string, NetworkService>();
  if (service === undefined) return rows;
  const clientAffinity = hasClientAffinity(view, serviceId);
  const endpoints = endpointsByNetwork(view, serviceId);
  for (const { networkId } of state?.virtualAddresses ?? [])
    if (!endpoints.has(networkId)) endpoints.set(networkId, []);
  for (const [networkId, list] of endpoints) {
    const own = state?.virtualAddresses.find((one) => one.networkId === networkId);
    rows.set(
      networkId,
      NetworkService.create({
        id: `${serviceId}/${networkId}`,
        serviceId,
        serviceName: service.spec?.name ?? '',
        networkId,
        address: own?.address ?? '',
        address6: own?.address6 ?? '',
        clientAffinity,
        endpoints: list,
      }),
    );
  }
  return rows;
}

function endpointsByNetwork(view: View, serviceId: string): Map<string, NetworkEndpoint[]> {
  const found = new Map<string, NetworkEndpoint[]>();
  const tasks = [...view.table('task').by('service', serviceId)].filter((task) =>
    isReachable(view, task),
  );
  const standings = new Map(tasks.map((task) => [task, standingOf(view, task)]));
  const others = [...standings.values()].includes('good');
  for (const task of tasks.sort(bySlot)) {
    const standing = standings.get(task)!;
    for (const { networkId, address, address6, aliases } of task.attachments) {
      if (networkId === INGRESS) continue;
      const endpoint = NetworkEndpoint.create({
        taskId: task.id,
        nodeId: task.nodeId,
        slot: task.slot,
        address,
        address6,
        aliases,
        ready: isReady(standing, others),
        draining: standing === 'draining',
      });
      const list = found.get(networkId);
      if (list === undefined) found.set(networkId, [endpoint]);
      else list.push(endpoint);
    }
  }
  return found;
}

/** It has addresses, and may still use them. */
export function isReachable(view: View, task: Task): boolean {
  if (task.attachments.length === 0 || !isAssigned(task)) return false;
  return !isOver({ task, status: view.table('taskStatus').get(task.id) });
}

/** `others`: there are good ones. */
function isReady(standing: Standing, others: boolean): boolean {
  return standing === 'good' || (standing === 'doubtful' && !others);
}

function bySlot(left: Task, right: Task): number {
  return left.slot - right.slot || (left.id < right.id ? -1 : 1);
}
