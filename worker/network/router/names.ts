import { createHash } from 'node:crypto';

/**
 * What everything that a node's network is made of is called. All of it follows from ids, so that
 * every node, and every later daemon of this node, comes to the same names without asking anybody.
 */

/** Names of what belongs to one node; `short` is the first 8 characters of its id. */
export function nodeNames(short: string): NodeNames {
  return {
    router: `swr-${short}`,
    uplink: `swu${short}`,
    table: `swarm_${short}`,
    tunnel: `swg${short}`,
  };
}
export interface NodeNames {
  /** The network namespace that all traffic of this node's containers passes. */
  readonly router: string;
  /** The host's end of the link between host and router. */
  readonly uplink: string;
  /** The nftables tables in the host's own namespace. */
  readonly table: string;
  /** The WireGuard device in the host's own namespace. */
  readonly tunnel: string;
}

/** The tables in the router, one a family. */
export const ROUTER_TABLE = 'swarm';
/** The router's end of the uplink. */
export const INSIDE = 'up0';
/** Gateway of containers without a network, and where every container's names are answered. */
export const GATEWAY = '198.18.0.1';
/** Gateway of every container in IPv6, on each of its links. */
export const GATEWAY6 = 'fe80::1';
/** MAC address of every link's end in the router: a container that moves finds the gateway it knew. */
export const GATEWAY_MAC = '02:42:00:00:00:01';

/**
 * MAC address of a container's nth link. Both ends of a link are told each other's: the entries that
 * kernels learn by asking are counted for the whole machine (`gc_thresh3`), those that are told are not.
 */
export function taskMac(taskId: string, link: number): string {
  const bytes = createHash('sha256').update(`${taskId} ${link}`).digest().subarray(0, 5);
  return ['02', ...[...bytes].map(hex)].join(':');
}

/**
 * Published ports come from the host to the router under these addresses, which say where they were
 * published. Nobody routes 240.0.0.0/8, and the link to the router is as far as they get.
 */
export const DOORS = '240.0.0.0/8';
export const INGRESS_DOOR = '240.0.0.1';
export const HOST_DOOR = '240.0.0.2';
export const DOORS6 = 'fd73:7761:726d:d::/64';
export const INGRESS_DOOR6 = 'fd73:7761:726d:d::1';
export const HOST_DOOR6 = 'fd73:7761:726d:d::2';

/** The device that carries published ports between nodes. */
export const INGRESS_DEVICE = 'swing';
/** The device that carries a network between nodes. */
export function networkDevice(network: {
  readonly index: number;
  readonly ingress: boolean;
}): string {
  return network.ingress ? INGRESS_DEVICE : `swx${network.index}`;
}
/** The router's end of a container's nth link. */
export function endpointDevice(index: number, link: number): string {
  return link === 0 ? `swe${index}` : `swe${index}-${link}`;
}
/** Where a node's end of every network answers: MAC addresses are made of the node's index. */
export function nodeMac(index: number): string {
  return `02:43:00:00:${hex(index >> 8)}:${hex(index & 255)}`;
}
/** What routes to a node's containers go through: an address known to the routers alone. */
export function nodeHop(index: number): string {
  return `198.19.${index >> 8}.${index & 255}`;
}
export function nodeHop6(index: number): string {
  return `fe80::5357:${index.toString(16)}`;
}
/** UDP port of routers at these addresses, where nodes ask each other what gets through. */
export const PROBE_PORT = 4_799;
/** Routing table of what goes back to the node that a published port's client came to. */
export function returnTable(index: number): number {
  return 100_000 + index;
}
/** Routing table of what goes to published backends on other nodes. */
export const INGRESS_TABLE = 99_999;
/** Mark of a packet that came to a published port; marks below are node indexes. */
export const INGRESS_MARK = 0x1_0000;

/** Where a kernel has IPv6; one that was started with `ipv6.disable=1` has no such directory. */
export const IPV6 = '/proc/sys/net/ipv6';

/** Marks the routes and rules of ours: the kernel's own are left out when they are read. */
export const PROTOCOL = 83;

/** The network namespace of a task's container. */
export function taskNamespace(short: string, taskId: string): string {
  return `swt-${short}-${taskId}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
