import { Network, NetworkView, type NodeStatus } from '../../proto/index.ts';
import { formatPrefix, overlaps, type Prefix, parsePrefix } from '../../shared/prefix.ts';
import { isReachable } from '../dispatcher/network-messages.ts';
import { AddressRange } from '../loop/addressing/address-range.ts';
import { nodeRoutes } from '../loop/addressing/free-subnet.ts';
import { isOverlayNode, lacks } from '../loop/addressing/needs.ts';
import { isPredefined } from '../loop/addressing/predefined.ts';
import type { View } from '../store/view.ts';
import { networkName } from './specs.ts';
import { knownNodes } from './warnings.ts';

/** Docker's words for them. */
const NODE_LOCAL_DRIVERS = { bridge: 'bridge', host: 'host', none: 'null' };

/** Networks of each node that services can be on: they have no row, and nothing can be done to them. */
export function nodeLocalViews(): NetworkView[] {
  const base = NetworkView.create({ predefined: true });
  return Object.entries(NODE_LOCAL_DRIVERS).map(([name, driver]) =>
    NetworkView.with(base, { network: Network.create({ id: name, spec: { name, driver } }) }),
  );
}

/** A network as `ls` shows it. */
export function networkView(view: View, network: Network): NetworkView {
  const state = view.table('networkState').get(network.id) ?? null;
  const ranges = (state?.subnets ?? [])
    .filter(({ cidr }) => !cidr.includes(':'))
    .map((subnet) => new AddressRange(subnet));
  const tasks = tasksOn(view, network.id);
  const base = NetworkView.create({
    services: view.table('service').countBy('network', networkName(network)),
    tasks,
    addressesUsed: tasks + virtualAddresses(view, network) + keptAddresses(view, network.id),
    addresses: ranges.reduce((sum, range) => sum + range.capacity, 0),
    predefined: isPredefined(networkName(network)),
  });
  return NetworkView.with(base, { network, state });
}

/** The same with what the user should know: costs a look at every node. */
export function fullNetworkView(view: View, network: Network): NetworkView {
  return NetworkView.with(networkView(view, network), { warnings: networkWarnings(view, network) });
}

function tasksOn(view: View, networkId: string): number {
  let tasks = 0;
  for (const task of view.table('task').by('network', networkId))
    if (isReachable(view, task)) tasks++;
  return tasks;
}

function virtualAddresses(view: View, { id }: Network): number {
  return view.table('serviceState').countBy('network', id);
}

function keptAddresses(view: View, networkId: string): number {
  let kept = 0;
  for (const { held } of view.table('nodeState').all())
    kept += held.filter((one) => one.networkId === networkId).length;
  return kept;
}

/** What keeps tasks off it, or away from each other. */
export function networkWarnings(view: View, network: Network): string[] {
  const nodes = knownNodes(view).map(({ status }) => status);
  if (nodes.length === 0) return [];
  return [...missingNodes(network, nodes), ...overlappingRoutes(view, network)];
}

function missingNodes({ spec }: Network, nodes: readonly NodeStatus[]): string[] {
  if (!nodes.some((status) => isOverlayNode(status)))
    return ['no node of this cluster can carry overlay networks: tasks on it will wait'];
  if (spec?.encrypted && nodes.every((status) => lacks(status, 'overlay encrypted') !== ''))
    return ['no node of this cluster has WireGuard: tasks on it will wait'];
  if (spec?.ipv6 && nodes.every((status) => lacks(status, 'overlay ipv6') !== ''))
    return ['no node of this cluster has IPv6 (ipv6.disable): tasks on it will wait'];
  return [];
}

/** Nodes that came later may route by themselves what a network has. */
function overlappingRoutes(view: View, { id }: Network): string[] {
  const subnets = (view.table('networkState').get(id)?.subnets ?? []).flatMap(
    ({ cidr }): Prefix[] => {
      const prefix = parsePrefix(cidr);
      return prefix === undefined ? [] : [prefix];
    },
  );
  const said = new Set<string>();
  for (const { nodeId, prefix } of nodeRoutes(view)) {
    const subnet = subnets.find((one) => overlaps(one, prefix));
    if (subnet === undefined) continue;
    const name = view.table('node').get(nodeId)?.name ?? nodeId;
    said.add(
      `${formatPrefix(subnet)} overlaps ${formatPrefix(prefix)}, which node ${name} routes itself`,
    );
  }
  return [...said].sort();
}
