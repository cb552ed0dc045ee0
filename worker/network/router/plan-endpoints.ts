import { type AttachedNetwork, Protocol } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { contains, parsePrefix } from '../../../shared/prefix.ts';
import { RuntimeError } from '../../runtime.ts';
import type { Attachment, LocalEndpoint } from '../container-network.ts';
import {
  element,
  type Item,
  isV6,
  MAIN,
  neighbour,
  route,
  routerTable,
  setting,
  taskLink,
} from './items.ts';
import { endpointDevice, GATEWAY, taskMac, taskNamespace } from './names.ts';
import { addressesOf, mtuOf, tableOf } from './surroundings.ts';
import type { TaskLink } from './task-link.ts';
import { digestOf } from './task-script.ts';

export interface EndpointPart {
  readonly items: readonly Item[];
  readonly links: readonly TaskLink[];
}

/**
 * One container: its links, the routes to it, the source addresses that it may use, its task ports.
 * Links on networks that this node knows nothing of yet are left out.
 */
export function planEndpoint(
  short: string,
  endpoint: LocalEndpoint,
  networks: ReadonlyMap<string, AttachedNetwork>,
  six: boolean,
): EndpointPart {
  const links = linksOf(short, endpoint, networks, six);
  const items = links.flatMap(({ link, group }) => {
    const { device } = link;
    const own = link.addresses.map((address) => address.replace(/\/\d+$/, ''));
    return [
      taskLink(device, digestOf(link)),
      setting(device, link.mtu || DEFAULT_MTU, group),
      ...own.flatMap((to) => [
        neighbour(device, to, link.mac),
        route({ to, table: MAIN, device }),
        element(tableOf(to), 'sw_addr', `"${device}" . ${to}`),
        element(tableOf(to), 'sw_self', `${to} . ${to}`),
      ]),
    ];
  });
  const first = links[0]?.link.addresses[0]?.replace(/\/\d+$/, '');
  if (first !== undefined) {
    for (const { protocol, port, target } of endpoint.ports) {
      const number = protocol === Protocol.UDP ? 17 : 6;
      const value = `${first} . ${target}`;
      items.push(element(routerTable(4), 'sw_tasks', `${number} . ${port}`, value));
    }
  }
  return { items, links: links.map(({ link }) => link) };
}

const DEFAULT_MTU = 1_500;

/** 198.18.0.0/15 is set aside for networks that nobody routes. The first address is the router's. */
export function localAddress(index: number): string {
  if (index < 1 || index > LIMITS.containerAddressesMax) {
    throw new RuntimeError('RESOURCE', 'this node has no more addresses for containers', true);
  }
  const number = index + 1;
  return `198.18.${number >> 8}.${number & 255}`;
}

function linksOf(
  short: string,
  endpoint: LocalEndpoint,
  networks: ReadonlyMap<string, AttachedNetwork>,
  six: boolean,
): readonly { readonly link: TaskLink; readonly group: number }[] {
  const { taskId, index, attachments } = endpoint;
  const namespace = taskNamespace(short, taskId);
  if (attachments.length === 0) {
    const link = {
      device: endpointDevice(index, 0),
      namespace,
      name: 'eth0',
      mac: taskMac(taskId, 0),
      mtu: 0,
      addresses: [`${localAddress(index)}/32`],
      gateway: GATEWAY,
      hasDefault: true,
      prefixes: [],
      names: false,
    };
    return [{ link, group: 0 }];
  }
  const ownOf = (attachment: Attachment): readonly string[] =>
    addressesOf(attachment).filter((address) => six || !isV6(address));
  return attachments.flatMap((attachment, at) => {
    const network = networks.get(attachment.networkId);
    if (network === undefined) return [];
    const prefixes = network.subnets.map(({ cidr }) => cidr);
    const link = {
      device: endpointDevice(index, at),
      namespace,
      name: `eth${at}`,
      mac: taskMac(taskId, at),
      mtu: mtuOf(network),
      addresses: ownOf(attachment).map((each) => withLength(each, prefixes)),
      gateway: gatewayOf(attachment, network),
      hasDefault: at === 0,
      prefixes: at === 0 ? [] : prefixes,
      names: at === 0 && endpoint.names,
    };
    return [{ link, group: network.index }];
  });
}

function withLength(address: string, prefixes: readonly string[]): string {
  const length = prefixOf(address, prefixes)?.length;
  return `${address}/${length ?? (isV6(address) ? 128 : 32)}`;
}

function gatewayOf(attachment: Attachment, network: AttachedNetwork): string {
  const subnet = network.subnets.find(
    ({ cidr, gateway }) => gateway !== '' && prefixOf(attachment.address, [cidr]) !== undefined,
  );
  return subnet?.gateway ?? GATEWAY;
}

function prefixOf(address: string, prefixes: readonly string[]) {
  const inner = parsePrefix(address);
  return prefixes
    .map((text) => parsePrefix(text))
    .find((outer) => outer !== undefined && inner !== undefined && contains(outer, inner));
}
