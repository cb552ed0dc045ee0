import { INSIDE, PROTOCOL, ROUTER_TABLE } from './names.ts';
import { makeTunnel, type TunnelDevice, takeTunnel } from './tunnel-script.ts';

export type Family = 4 | 6;
/** Where a line is typed, and into what. */
export type Batch =
  | 'host-links'
  /** Lines of shell in the host's own namespace. */
  | 'tunnel'
  /** The line is the device: what is done there is more than a line. */
  | 'tasks'
  | 'router'
  | 'router6'
  | 'router-bridge'
  | 'router-nft'
  | 'host-nft';

/**
 * One thing that the kernel knows: which one (`id`), all that must be so of it (`text`), and what is
 * typed to make it and to take it away. Plans and what is read from the kernel are made of the same
 * items, so that what differs is a comparison of two maps.
 */
export interface Item {
  readonly id: string;
  readonly text: string;
  /** Making it over one that differs changes that; else the other is taken away first. */
  readonly replaces: boolean;
  /** The link it hangs on: gone with it, to be made again after it. */
  readonly device?: string;
  /** The link that this is. */
  readonly link?: string;
  /** A kernel with no IPv6 knows nothing of it. */
  readonly six: boolean;
  readonly make: Line;
  readonly take: Line;
  /** Position among the steps of a change; taken away in the opposite order. */
  readonly step: number;
}
export interface Line {
  readonly batch: Batch;
  readonly line: string;
  /** The line is an element of this set of nftables: those of one set are typed together. */
  readonly set?: string;
}

const STEP = {
  link: 0,
  setting: 1,
  address: 2,
  neighbour: 3,
  route: 4,
  rule: 5,
  chain: 6,
  element: 7,
};

/** What a VXLAN device of a network is. Its socket stays in the host's namespace, where it is made. */
export interface Vxlan {
  readonly device: string;
  readonly router: string;
  readonly vni: number;
  readonly port: number;
  readonly local: string;
  readonly mac: string;
}

export function vxlan(link: Vxlan): Item {
  const { device, router, vni, port, local, mac } = link;
  const text = `vni ${vni} port ${port} local ${local} mac ${mac}`;
  const type = `type vxlan id ${vni} dstport ${port} local ${local} nolearning`;
  const line = `link add ${device} netns ${router} address ${mac} ${type}`;
  return {
    id: `link ${device}`,
    text,
    replaces: false,
    link: device,
    six: false,
    make: { batch: 'host-links', line },
    take: { batch: 'router', line: `link del ${device}` },
    step: STEP.link,
  };
}

/** The router's end of a container's link; `digest` stands for all that is set up at either end. */
export function taskLink(device: string, digest: string): Item {
  return {
    id: `link ${device}`,
    text: digest,
    replaces: true,
    link: device,
    six: false,
    make: { batch: 'tasks', line: device },
    take: { batch: 'router', line: `link del ${device}` },
    step: STEP.link,
  };
}

/** The WireGuard device, in the host's own namespace. */
export function tunnelDevice(tunnel: TunnelDevice): Item {
  const { device, key, port, address, mtu } = tunnel;
  return {
    id: `tunnel ${device}`,
    text: `key ${key} port ${port} address ${address} mtu ${mtu}`,
    replaces: true,
    six: false,
    make: { batch: 'tunnel', line: makeTunnel(tunnel) },
    take: { batch: 'tunnel', line: takeTunnel(device) },
    step: STEP.link,
  };
}

/** A node that the tunnel reaches. `endpoint`: where it is at first; it may answer from elsewhere. */
export function tunnelPeer(peer: {
  readonly device: string;
  readonly ownKey: string;
  readonly key: string;
  readonly endpoint: string;
  readonly address: string;
}): Item {
  const { device, ownKey, key, endpoint, address } = peer;
  const words = `wg set ${device} peer ${key}`;
  const settings = `endpoint ${endpoint} allowed-ips ${address}/32 persistent-keepalive 0`;
  return {
    id: `tunnel-peer ${device} ${key}`,
    text: `own ${ownKey} endpoint ${endpoint} address ${address}`,
    replaces: true,
    six: false,
    // Turning it on shakes hands at once: nobody has to wait for that with a first packet.
    make: { batch: 'tunnel', line: `${words} ${settings}\n${words} persistent-keepalive 25` },
    take: { batch: 'tunnel', line: `${words} remove` },
    step: STEP.neighbour,
  };
}

/** MTU and group of a link; the group is the network's index, which keeps networks apart. */
export function setting(device: string, mtu: number, group: number): Item {
  const text = `mtu ${mtu} group ${group}`;
  return {
    id: `setting ${device}`,
    text,
    replaces: true,
    device,
    six: false,
    make: { batch: 'router', line: `link set ${device} ${text} up` },
    take: { batch: 'router', line: `link set ${device} group 0` },
    step: STEP.setting,
  };
}

/** One of the router's own addresses, on its loopback. */
export function ownAddress(address: string): Item {
  const prefix = isV6(address) ? 128 : 32;
  return {
    id: `address ${address}`,
    text: '',
    replaces: true,
    six: isV6(address),
    make: { batch: 'router', line: `address replace ${address}/${prefix} dev lo` },
    take: { batch: 'router', line: `address del ${address}/${prefix} dev lo` },
    step: STEP.address,
  };
}

export function neighbour(device: string, hop: string, mac: string): Item {
  const line = `neigh replace ${hop} lladdr ${mac} dev ${device} nud permanent`;
  return {
    id: `neighbour ${device} ${hop}`,
    text: mac,
    replaces: true,
    device,
    six: isV6(hop),
    make: { batch: 'router', line },
    take: { batch: 'router', line: `neigh del ${hop} dev ${device}` },
    step: STEP.neighbour,
  };
}

/** To which node frames for a MAC address go. */
export function forwarding(device: string, mac: string, to: string): Item {
  const line = `fdb replace ${mac} dev ${device} dst ${to} self permanent`;
  return {
    id: `forwarding ${device} ${mac}`,
    text: to,
    replaces: true,
    device,
    six: isV6(to),
    make: { batch: 'router-bridge', line },
    take: { batch: 'router-bridge', line: `fdb del ${mac} dev ${device} dst ${to} self` },
    step: STEP.neighbour,
  };
}

/** Routes of the main table are looked at by everything. */
export const MAIN = 254;

export interface Route {
  readonly to: string;
  readonly table: number;
  /** No way: who asks is told at once. */
  readonly unreachable?: boolean;
  readonly via?: string;
  readonly device?: string;
}

export function route(given: Route): Item {
  const { to, table, via, device } = given;
  const way = via === undefined ? `dev ${device}` : `via ${via} dev ${device} onlink`;
  const text = given.unreachable === true ? 'unreachable' : way;
  const batch = isV6(to) ? 'router6' : 'router';
  const [kind, rest] = given.unreachable === true ? ['unreachable ', ''] : ['', ` ${way}`];
  const where = table === MAIN ? '' : ` table ${table}`;
  return {
    id: `route ${table} ${to}`,
    text,
    replaces: true,
    ...(device === undefined ? {} : { device }),
    six: isV6(to),
    make: { batch, line: `route replace ${kind}${to}${rest}${where} proto ${PROTOCOL}` },
    take: { batch, line: `route del ${kind}${to}${where} proto ${PROTOCOL}` },
    step: STEP.route,
  };
}

/** One rule of policy routing. `selector` as `ip rule` takes it. */
export function rule(family: Family, preference: number, selector: string): Item {
  const batch = family === 6 ? 'router6' : 'router';
  const words = `pref ${preference} ${selector} protocol ${PROTOCOL}`;
  return {
    id: `rule ${family} ${preference} ${selector}`,
    text: '',
    replaces: false,
    six: family === 6,
    make: { batch, line: `rule add ${words}` },
    take: { batch, line: `rule del ${words}` },
    step: STEP.rule,
  };
}

/** A table of nftables: in the router, or in the host's namespace under the node's own name. */
export interface Table {
  readonly place: 'router' | 'host';
  readonly family: Family;
  readonly name: string;
}
export function tableWords({ family, name }: Table): string {
  return `${family === 6 ? 'ip6' : 'ip'} ${name}`;
}
export function routerTable(family: Family): Table {
  return { place: 'router', family, name: ROUTER_TABLE };
}

/** One element of a set, or with `value` of a map. */
export function element(table: Table, set: string, key: string, value?: string): Item {
  const words = `${tableWords(table)} ${set}`;
  const full = value === undefined ? key : `${key} : ${value}`;
  const batch = table.place === 'router' ? 'router-nft' : 'host-nft';
  return {
    id: `element ${words} ${key}`,
    text: value ?? '',
    replaces: false,
    six: table.family === 6,
    make: { batch, set: words, line: full },
    take: { batch, set: words, line: key },
    step: STEP.element,
  };
}

/** A chain that elements send packets to. It stays when nothing does any more. */
export function chain(table: Table, name: string, rules: readonly string[]): Item {
  const words = `${tableWords(table)} ${name}`;
  const batch = table.place === 'router' ? 'router-nft' : 'host-nft';
  const lines = rules.map((rule) => `add rule ${words} ${rule}`);
  return {
    id: `chain ${words}`,
    text: '',
    replaces: true,
    six: table.family === 6,
    make: { batch, line: [`add chain ${words}`, `flush chain ${words}`, ...lines].join('\n') },
    take: { batch, line: `delete chain ${words}` },
    step: STEP.chain,
  };
}

export function isV6(address: string): boolean {
  return address.includes(':');
}

/** Devices of ours in the router; the uplink's end is not among them. */
export function isOurs(device: string): boolean {
  return device !== INSIDE && /^sw([xe]\d|ing$)/.test(device);
}
