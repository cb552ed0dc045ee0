import { isIP } from 'node:net';
import type { AttachedNetwork, NetworkPeer } from '../../../proto/index.ts';
import {
  element,
  type Family,
  forwarding,
  type Item,
  isV6,
  MAIN,
  neighbour,
  ownAddress,
  route,
  routerTable,
  rule,
  setting,
  vxlan,
} from './items.ts';
import {
  GATEWAY,
  INGRESS_MARK,
  INGRESS_TABLE,
  networkDevice,
  nodeHop,
  nodeHop6,
  nodeMac,
  returnTable,
} from './names.ts';
import { mtuOf, type Surroundings } from './surroundings.ts';
import { encryptedPort, tunnelAddress } from './tunnel-names.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** What every router has, whatever its node carries. */
export function planBase(): readonly Item[] {
  return [ownAddress(GATEWAY)];
}

/**
 * Which table a packet asks. Nearly all have no mark and ask the main one at once; what came to a
 * published port asks for its backend's node, and what answers it for the node it came through.
 */
export function planRules(): readonly Item[] {
  const mark = `0x${INGRESS_MARK.toString(16)}`;
  return FAMILIES.flatMap((family) => [
    rule(family, 10, 'fwmark 0/0xffffffff lookup main'),
    rule(family, 20, `fwmark ${mark}/${mark} lookup ${INGRESS_TABLE}`),
    rule(family, 30, 'lookup main suppress_prefixlength 0'),
  ]);
}

/** The device of a network, its gateways, and who may speak with whom. */
export function planNetwork(around: Surroundings, network: AttachedNetwork): readonly Item[] {
  const { self, names } = around;
  const device = networkDevice(network);
  const prefixes = network.subnets.map(({ cidr }) => cidr);
  const gateways = network.subnets.map(({ gateway }) => gateway).filter((each) => each !== '');
  const items = [
    vxlan({
      device,
      router: names.router,
      vni: network.vni,
      port: network.encrypted ? encryptedPort(self.dataPort) : self.dataPort,
      local: network.encrypted ? tunnelAddress(self.index) : self.dataAddress,
      mac: nodeMac(self.index),
    }),
    setting(device, mtuOf(network), network.index),
    ...gateways.map((gateway) => ownAddress(gateway)),
    // An address that nobody has is told at once, and never looked for outside.
    ...prefixes.map((to) => route({ to, table: MAIN, unreachable: true })),
  ];
  if (network.ingress) items.push(ownAddress(nodeHop(self.index)));
  const group = String(network.index);
  for (const family of FAMILIES) {
    const table = routerTable(family);
    if (!network.ingress) items.push(element(table, 'sw_same', `${group} . ${group}`));
    if (network.internal) items.push(element(table, 'sw_inner', group));
  }
  return items;
}

/** How another node is reached: one entry a network, and the way back to it for its clients. */
export function planPeer(
  around: Surroundings,
  peer: NetworkPeer,
  networks: readonly AttachedNetwork[],
): readonly Item[] {
  const { index, dataAddress } = peer;
  const mac = nodeMac(index);
  const items = networks.flatMap((network) => {
    const device = networkDevice(network);
    if (network.encrypted && peer.wireguardKey === '') return [];
    return [
      neighbour(device, nodeHop(index), mac),
      neighbour(device, nodeHop6(index), mac),
      forwarding(device, mac, network.encrypted ? tunnelAddress(index) : dataAddress),
    ];
  });
  const device = around.ingressDevice();
  if (device === undefined) return items;
  const table = returnTable(index);
  const mark = `0x${index.toString(16)}`;
  for (const each of FAMILIES) {
    items.push(rule(each, 40, `fwmark ${mark}/0xffff lookup ${table}`));
    items.push(element(routerTable(each), 'sw_nodes', mac, String(index)));
    items.push(element(routerTable(each), 'sw_zones', mac, String(index)));
  }
  // The way to the router itself: what gets through between nodes is found out there.
  items.push(route({ to: nodeHop(index), table: MAIN, device }));
  items.push(route({ to: '0.0.0.0/0', table, via: nodeHop(index), device }));
  items.push(route({ to: '::/0', table, via: nodeHop6(index), device }));
  return items;
}

/**
 * Addresses of all nodes: what containers send to a published port there is answered in the router, and
 * only from there does the host take what the nodes send each other. Two nodes may name the same.
 */
export function planNodeAddresses(around: Surroundings): readonly Item[] {
  const peers = [...around.peers.values()];
  const all = new Set(
    peers.flatMap(({ addresses }) => addresses).filter((each) => isIP(each) !== 0),
  );
  const data = new Set(peers.map(({ dataAddress }) => dataAddress));
  const family = (address: string): Family => (isV6(address) ? 6 : 4);
  return [
    ...[...all].map((each) => element(routerTable(family(each)), 'sw_hosts', each)),
    ...[...data].map((each) => element(around.hostTable(family(each)), 'sw_peers', each)),
  ];
}
