import {
  AttachedNetwork,
  type Init,
  LoadBalanced,
  NetworkPeer,
  NetworkService,
} from '../../../proto/index.ts';
import type { LocalEndpoint } from '../container-network.ts';
import { nodeNames } from './names.ts';
import type { PlanInput } from './plan.ts';
import type { OverlayRows } from './surroundings.ts';

/** For tests: rows of a small cluster, as a manager sends them to node 1. */
export const INGRESS = AttachedNetwork.create({
  id: 'ingress',
  name: 'ingress',
  index: 1,
  vni: 0x10_0000,
  mtu: 1_450,
  ingress: true,
  subnets: [{ cidr: '10.255.0.0/24', gateway: '10.255.0.1' }],
});

/** The nth network: 10.0.N.0/24 and fd00:0:0:N::/64. */
export function network(number: number, init: Init<AttachedNetwork> = {}): AttachedNetwork {
  return AttachedNetwork.create({
    id: `net${number}`,
    name: `net${number}`,
    index: number + 1,
    vni: 0x10_0000 + number,
    mtu: 1_450,
    subnets: [
      { cidr: `10.0.${number}.0/24`, gateway: `10.0.${number}.1` },
      { cidr: `fd00:0:0:${number}::/64`, gateway: `fd00:0:0:${number}::1` },
    ],
    ...init,
  });
}

export function peer(number: number, init: Init<NetworkPeer> = {}): NetworkPeer {
  return NetworkPeer.create({
    nodeId: `node${number}000restoftheid`,
    index: number,
    dataAddress: `192.168.99.1${number}`,
    dataPort: 4_799,
    addresses: [`192.168.99.1${number}`],
    ...init,
  });
}

/** A public key of WireGuard that nobody has. */
export function key(number: number): string {
  return `${'K'.repeat(42)}${number}=`;
}

/** An address of the nth task on the nth network. */
export function at(net: number, task: number) {
  return {
    networkId: `net${net}`,
    address: `10.0.${net}.${10 + task}`,
    address6: `fd00:0:0:${net}::${10 + task}`,
    aliases: [] as string[],
  };
}

/** Task N runs on node N modulo 3. */
export function service(
  net: number,
  tasks: readonly number[],
  init: Init<NetworkService> = {},
): NetworkService {
  return NetworkService.create({
    id: `web/net${net}`,
    serviceId: 'web',
    serviceName: 'web',
    networkId: `net${net}`,
    address: `10.0.${net}.2`,
    endpoints: tasks.map((task) => {
      const { address, address6 } = at(net, task);
      return {
        taskId: `task${task}`,
        nodeId: nodeOf(task),
        slot: task,
        ready: true,
        address,
        address6,
      };
    }),
    ...init,
  });
}

export function published(
  net: number,
  tasks: readonly number[],
  init: Init<LoadBalanced> = {},
): LoadBalanced {
  return LoadBalanced.create({
    serviceId: 'web',
    serviceName: 'web',
    ports: [{ target: 80, published: 8_080 }],
    backends: tasks.map((task) => ({
      taskId: `task${task}`,
      nodeId: nodeOf(task),
      slot: task,
      address: at(net, task).address,
    })),
    ...init,
  });
}

function nodeOf(task: number): string {
  return peer(((task - 1) % 3) + 1).nodeId;
}

export function endpoint(task: number, init: Partial<LocalEndpoint> = {}): LocalEndpoint {
  return {
    taskId: `task${task}`,
    index: task,
    ports: [],
    attachments: [],
    names: true,
    dns: [],
    ...init,
  };
}

export function input(
  rows: Partial<OverlayRows>,
  endpoints: readonly LocalEndpoint[] = [],
): PlanInput {
  const peers = [peer(1), peer(2), peer(3)];
  return {
    nodeId: peers[0]!.nodeId,
    short: 'node1000',
    names: nodeNames('node1000'),
    endpoints,
    tunnelKeys: '/var/lib/swarm/tunnel',
    overlay: {
      peers,
      networks: [INGRESS],
      networkServices: [],
      services: [],
      ...rows,
      publishing: { address: '', refused: new Set() },
    },
  };
}
