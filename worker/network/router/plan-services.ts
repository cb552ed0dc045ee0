import { isIP } from 'node:net';
import type { NetworkEndpoint, NetworkService } from '../../../proto/index.ts';
import { bucketsOf } from './buckets.ts';
import { type Choice, choiceOf } from './choices.ts';
import { element, type Item, isV6, MAIN, route } from './items.ts';
import { networkDevice, nodeHop, nodeHop6 } from './names.ts';
import { addressesOf, type Surroundings, tableOf } from './surroundings.ts';

/** What one row brings, with the chains that its elements go to. */
export interface ServicePart {
  readonly items: readonly Item[];
  readonly choices: readonly Choice[];
}

/** One service on one network: the way to its endpoints on other nodes, and its virtual addresses. */
export function planNetworkService(around: Surroundings, row: NetworkService): ServicePart {
  const network = around.networks.get(row.networkId);
  if (network === undefined) return { items: [], choices: [] };
  const device = networkDevice(network);
  const items = row.endpoints.flatMap((endpoint) => {
    const peer = around.remote(endpoint.nodeId);
    // Without a way there the network's own route says so at once.
    if (peer === undefined || (network.encrypted && peer.wireguardKey === '')) return [];
    return addressesOf(endpoint).map((to) => {
      const via = isV6(to) ? nodeHop6(peer.index) : nodeHop(peer.index);
      return route({ to, table: MAIN, via, device });
    });
  });
  const choices: Choice[] = [];
  for (const [virtual, family] of [[row.address, 4] as const, [row.address6, 6] as const]) {
    if (isIP(virtual) !== family) continue;
    const part = planVirtual(virtual, row);
    items.push(...part.items);
    choices.push(...part.choices);
  }
  return { items, choices };
}

/** Who takes new connections. */
export function takesLoad(endpoint: NetworkEndpoint): boolean {
  return endpoint.ready && !endpoint.draining;
}

function planVirtual(virtual: string, row: NetworkService): ServicePart {
  const table = tableOf(virtual);
  const backends = new Map(
    row.endpoints.filter(takesLoad).flatMap((endpoint) => {
      const address = isV6(virtual) ? endpoint.address6 : endpoint.address;
      return isIP(address) === isIP(virtual) ? [[endpoint.taskId, address] as const] : [];
    }),
  );
  if (backends.size === 0) return { items: [], choices: [] };
  const ids = [...backends.keys()].sort();
  const order = row.clientAffinity ? bucketsOf(ids) : ids;
  const choice = choiceOf('virtual', table.family, row.clientAffinity ? 'client' : ids.length);
  const items = [
    element(table, 'sw_vips', virtual, `goto ${choice.chain}`),
    ...order.map((id, at) => element(table, 'sw_backs', `${virtual} . ${at}`, backends.get(id)!)),
  ];
  return { items, choices: [choice] };
}
