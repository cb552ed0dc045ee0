import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import {
  type Backend,
  type LoadBalanced,
  type PortConfig,
  Protocol,
  PublishMode,
} from '../../../proto/index.ts';
import { bucketsOf } from './buckets.ts';
import { type Choice, choiceOf } from './choices.ts';
import { element, type Family, type Item, isV6, route, routerTable } from './items.ts';
import {
  HOST_DOOR,
  HOST_DOOR6,
  INGRESS_DOOR,
  INGRESS_DOOR6,
  INGRESS_TABLE,
  nodeHop,
  nodeHop6,
} from './names.ts';
import type { ServicePart } from './plan-services.ts';
import { addressesOf, type Surroundings } from './surroundings.ts';

/** Where this node publishes ports that name no address themselves; empty: on all its addresses. */
export interface Publishing {
  readonly address: string;
  /** Ports that the user-space proxy could not take either, as `portKey` says: somebody else has them. */
  readonly refused: ReadonlySet<string>;
}

/** A published port that the kernel carries: all its backends are containers with addresses. */
export interface CarriedPort {
  readonly service: LoadBalanced;
  readonly port: PortConfig;
  /** The address it is published at; empty: all of this node's. */
  readonly bind: string;
}

export function portKey(port: Pick<PortConfig, 'protocol' | 'published'>): string {
  return `${protocolName(port)}/${port.published}`;
}

/**
 * The ports that the kernel carries; the proxy has the others: those of processes, and those whose
 * backends are told the client's address in a header. Where two services want the same, the one with
 * the lower id has it, as in the proxy.
 */
export function carriedPorts(
  nodeId: string,
  services: readonly LoadBalanced[],
  publishing: Publishing,
): readonly CarriedPort[] {
  const taken = new Map<string, string>();
  const carried: CarriedPort[] = [];
  for (const service of [...services].sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1))) {
    for (const port of service.ports) {
      if (port.published === 0) continue;
      const isHost = port.mode === PublishMode.HOST;
      if (isHost && !service.backends.some((backend) => backend.nodeId === nodeId)) continue;
      const bind = port.bind || publishing.address;
      const place = `${portKey(port)} ${bind}`;
      const owner = taken.get(place) ?? service.serviceId;
      taken.set(place, owner);
      if (owner !== service.serviceId || publishing.refused.has(portKey(port))) continue;
      if (isCarried(service, port)) carried.push({ service, port, bind });
    }
  }
  return carried;
}

function isCarried(service: LoadBalanced, port: PortConfig): boolean {
  const active = service.backends.filter((backend) => !backend.draining);
  const named = port.bind === '' || isIP(port.bind) !== 0;
  return (
    named &&
    !port.proxyProtocolV2 &&
    active.length > 0 &&
    active.every((backend) => isIP(backend.address) === 4)
  );
}

/**
 * One service: the ports of it that the kernel carries, and the way to all its backends, also those
 * that get nothing new: what they have open goes on.
 */
export function planPublished(
  around: Surroundings,
  service: LoadBalanced,
  ports: readonly CarriedPort[],
): ServicePart {
  const items = new Map<string, Item>();
  const choices: Choice[] = [];
  for (const carried of ports) {
    for (const family of [4, 6] as const) {
      const part = planPort(around, carried, family);
      for (const item of part.items) items.set(item.id, item);
      choices.push(...part.choices);
    }
  }
  for (const item of backendItems(around, service)) items.set(item.id, item);
  return { items: [...items.values()], choices };
}

/** The way to backends on other nodes, and what is let in to those here. */
function backendItems(around: Surroundings, service: LoadBalanced): readonly Item[] {
  const device = around.ingressDevice();
  return service.backends.flatMap((backend) => {
    const addresses = addressesOf(backend);
    if (backend.nodeId === around.self.nodeId) {
      return addresses.flatMap((address) =>
        service.ports.map((port) => {
          const table = routerTable(isV6(address) ? 6 : 4);
          return element(table, 'sw_open', `${address} . ${protocolOf(port)} . ${port.target}`);
        }),
      );
    }
    const peer = around.remote(backend.nodeId);
    if (peer === undefined || device === undefined) return [];
    return addresses.map((to) => {
      const via = isV6(to) ? nodeHop6(peer.index) : nodeHop(peer.index);
      return route({ to, table: INGRESS_TABLE, via, device });
    });
  });
}

function planPort(around: Surroundings, carried: CarriedPort, family: Family): ServicePart {
  const { service, port, bind } = carried;
  const backends = backendsOf(around, service, port, family);
  const none = { items: [], choices: [] };
  if (backends.size === 0 || (bind !== '' && isIP(bind) !== family)) return none;
  const ids = [...backends.keys()].sort();
  const affinity = service.clientAffinity;
  const order = affinity ? bucketsOf(ids) : ids;
  const count = affinity ? ('client' as const) : ids.length;
  const table = routerTable(family);
  const wire = `${protocolOf(port)} . ${port.published}`;
  const door = doorOf(carried, family);
  const onHost = around.hostTable(family);
  const items: Item[] = [
    bind === ''
      ? element(onHost, 'sw_ports', wire, door)
      : element(onHost, 'sw_bound', `${bind} . ${wire}`, door),
  ];
  if (door === (family === 6 ? INGRESS_DOOR6 : INGRESS_DOOR)) {
    const choice = choiceOf('port', family, count);
    items.push(element(table, 'sw_ports', wire, `goto ${choice.chain}`));
    for (const [at, id] of order.entries())
      items.push(element(table, 'sw_pbacks', `${wire} . ${at}`, backends.get(id)!));
    return { items, choices: [choice] };
  }
  const choice = choiceOf('door', family, count);
  for (const at of doorsInRouter(around, carried, family)) {
    items.push(element(table, 'sw_doors', `${at} . ${wire}`, `goto ${choice.chain}`));
    for (const [number, id] of order.entries())
      items.push(element(table, 'sw_dbacks', `${at} . ${wire} . ${number}`, backends.get(id)!));
  }
  return { items, choices: [choice] };
}

/** Task id → `address . port` of those that take new connections. */
function backendsOf(
  around: Surroundings,
  service: LoadBalanced,
  port: PortConfig,
  family: Family,
): ReadonlyMap<string, string> {
  const here = port.mode === PublishMode.HOST;
  const fits = (backend: Backend): boolean =>
    !backend.draining &&
    (backend.nodeId === around.self.nodeId ||
      (!here && around.remote(backend.nodeId) !== undefined));
  return new Map(
    service.backends.filter(fits).flatMap((backend) => {
      const address = family === 6 ? backend.address6 : backend.address;
      return isIP(address) === family ? [[backend.taskId, `${address} . ${port.target}`]] : [];
    }),
  );
}

function doorOf({ port, bind }: CarriedPort, family: Family): string {
  const own = port.bind !== '';
  if (port.mode === PublishMode.HOST && !own) return family === 6 ? HOST_DOOR6 : HOST_DOOR;
  if (!own) return family === 6 ? INGRESS_DOOR6 : INGRESS_DOOR;
  const digest = createHash('sha256').update(bind).digest();
  if (family === 6)
    return `${INGRESS_DOOR6.replace(/1$/, '')}${hexWord(digest, 0)}:${hexWord(digest, 2)}`;
  // The lowest bit keeps it apart from the two that are fixed.
  return `240.${digest[0]}.${digest[1]}.${digest[2]! | 128}`;
}

/** Its door, and the node's own addresses under which containers of this node ask for it. */
function doorsInRouter(
  around: Surroundings,
  carried: CarriedPort,
  family: Family,
): readonly string[] {
  const door = doorOf(carried, family);
  const own = around.self.addresses.filter((address) => isIP(address) === family);
  return [door, ...own.filter((address) => carried.bind === '' || carried.bind === address)];
}

function hexWord(digest: Buffer, at: number): string {
  return (digest.readUInt16BE(at) | 0x1000).toString(16);
}

function protocolName({ protocol }: Pick<PortConfig, 'protocol'>): 'tcp' | 'udp' {
  return protocol === Protocol.UDP ? 'udp' : 'tcp';
}
/** As nftables lists it. */
function protocolOf({ protocol }: Pick<PortConfig, 'protocol'>): number {
  return protocol === Protocol.UDP ? 17 : 6;
}
