import { choiceItem, choiceNamed } from './choices.ts';
import {
  element,
  type Family,
  forwarding,
  type Item,
  isOurs,
  MAIN,
  neighbour,
  ownAddress,
  route,
  rule,
  setting,
  type Table,
  taskLink,
  tunnelDevice,
  tunnelPeer,
  vxlan,
} from './items.ts';
import { IPV6, PROTOCOL } from './names.ts';

/** What is read from the router's namespace: one program, one line of JSON for each question. */
export const OBSERVE_SCRIPT = `ip -j -d link show; echo
ip -j addr show dev lo; echo
ip -j neigh show nud permanent; echo
bridge -j fdb show; echo
ip -j route show table all proto ${PROTOCOL}; echo
ip -j rule show; echo
if [ -e ${IPV6} ]; then ip -j -6 rule show; else echo '[]'; fi`;

interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly group: string;
  readonly address: string;
  readonly ifalias?: string;
  readonly flags: readonly string[];
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly id?: number;
      readonly port?: number;
      readonly local?: string;
      readonly local6?: string;
    };
  };
}
interface Neighbour {
  readonly dst: string;
  readonly dev: string;
  readonly lladdr?: string;
}
interface Forwarding {
  readonly mac: string;
  readonly ifname: string;
  readonly dst?: string;
}
interface RouteRow {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly table?: string;
}
interface RuleRow {
  readonly priority: number;
  readonly fwmark?: string;
  readonly fwmask?: string;
  readonly table?: string;
  readonly suppress_prefixlen?: number;
  readonly protocol?: string;
}

/** Everything of ours in the router's namespace but its tables. Throws on output that is none. */
export function readRouter(output: string, router: string): readonly Item[] {
  const answers = output.split('\n').filter((line) => line.trim() !== '');
  const [links, loopback, neighbours, forwardings, routes, rules, rules6] = answers.map(
    (line) => JSON.parse(line) as readonly unknown[],
  );
  if (rules6 === undefined) throw new Error('the router did not answer everything');
  const ours = (links as readonly Link[]).filter(({ ifname }) => isOurs(ifname));
  return [
    ...ours.flatMap((link) => linkItems(link, router)),
    ...ownAddresses(loopback as readonly { readonly addr_info: readonly LocalAddress[] }[]),
    ...(neighbours as readonly Neighbour[])
      .filter(({ dev, lladdr }) => isOurs(dev) && lladdr !== undefined)
      .map(({ dev, dst, lladdr }) => neighbour(dev, dst, lladdr!)),
    ...(forwardings as readonly Forwarding[])
      .filter(({ ifname, dst }) => isOurs(ifname) && dst !== undefined)
      .map(({ ifname, mac, dst }) => forwarding(ifname, mac, dst!)),
    ...(routes as readonly RouteRow[]).map(routeItem),
    ...(rules as readonly RuleRow[]).filter(isOwnRule).map((row) => ruleItem(row, 4)),
    ...(rules6 as readonly RuleRow[]).filter(isOwnRule).map((row) => ruleItem(row, 6)),
  ];
}

/**
 * The tunnel, as `observeTunnelScript` tells it. Where a peer is now is not asked: it moves by itself
 * with what comes from there, so the plan's word for it (`want`) is taken.
 */
export function readTunnel(
  output: string,
  device: string,
  want: ReadonlyMap<string, Item>,
): readonly Item[] {
  const [json = '', ...lines] = output.split('\n').filter((line) => line.trim() !== '');
  if (json === '') return [];
  const [link] = JSON.parse(json) as readonly TunnelLink[];
  const told = lines.map((line) => line.split(/\s+/));
  const said = (what: string): string => told.find(([word]) => word === what)?.[1] ?? '';
  const key = said('public-key');
  const address = link?.addr_info.find(({ family }) => family === 'inet')?.local ?? '';
  const mtu = link?.flags.includes('UP') ? link.mtu : 0;
  const port = Number(said('listen-port'));
  const peers = told.filter(([word]) => word === 'allowed-ips').map(([, peer, ip]) => [peer, ip]);
  return [
    tunnelDevice({ device, key, keyPath: '', port, address, mtu }),
    ...peers.map(([peer = '', ip = '']) => {
      const inner = ip.replace(/\/32$/, '');
      const item = tunnelPeer({ device, ownKey: key, key: peer, endpoint: '', address: inner });
      const wanted = want.get(item.id);
      const isSame = wanted?.text.startsWith(`own ${key} `) && wanted.text.endsWith(` ${inner}`);
      return isSame ? wanted! : item;
    }),
  ];
}

interface TunnelLink {
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly { readonly family: string; readonly local: string }[];
}

function linkItems(link: Link, router: string): readonly Item[] {
  const { ifname: device, address: mac, mtu, group, ifalias, linkinfo } = link;
  const data = linkinfo?.info_data;
  const up = link.flags.includes('UP') ? Number(group === 'default' ? 0 : group) : -1;
  const state = setting(device, mtu, up);
  if (linkinfo?.info_kind !== 'vxlan') return [taskLink(device, ifalias ?? ''), state];
  const local = data?.local ?? data?.local6 ?? '';
  return [vxlan({ device, router, vni: data?.id ?? 0, port: data?.port ?? 0, local, mac }), state];
}

interface LocalAddress {
  readonly local: string;
  readonly scope: string;
}

function ownAddresses(
  rows: readonly { readonly addr_info: readonly LocalAddress[] }[],
): readonly Item[] {
  return rows
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ scope }) => scope === 'global')
    .map(({ local }) => ownAddress(local));
}

function routeItem({ type, dst, gateway, dev, table }: RouteRow): Item {
  const six = (gateway ?? dst).includes(':');
  const to = dst === 'default' ? (six ? '::/0' : '0.0.0.0/0') : dst;
  const number = table === undefined ? MAIN : Number(table);
  if (type === 'unreachable') return route({ to, table: number, unreachable: true });
  return route({
    to,
    table: number,
    ...(gateway === undefined ? {} : { via: gateway }),
    ...(dev === undefined ? {} : { device: dev }),
  });
}

function isOwnRule({ protocol }: RuleRow): boolean {
  return protocol === String(PROTOCOL);
}

function ruleItem(row: RuleRow, family: Family): Item {
  const { fwmark, fwmask, table, suppress_prefixlen: suppressed } = row;
  const mark = fwmark === undefined ? '' : `fwmark ${fwmark}/${fwmask ?? '0xffffffff'} `;
  const end = suppressed === undefined ? '' : ` suppress_prefixlength ${suppressed}`;
  return rule(family, row.priority, `${mark}lookup ${table}${end}`);
}

/** What `nft -j -n list table` says of one of our tables. */
export interface TableState {
  readonly items: readonly Item[];
  /** Everything else in it, as one text: the same as long as nobody changes it. */
  readonly structure: string;
}

type Listed = { readonly [kind: string]: { readonly [key: string]: unknown } };

export function readTable(output: string, table: Table): TableState {
  const { nftables } = JSON.parse(output) as { readonly nftables: readonly Listed[] };
  const items: Item[] = [];
  const structure: unknown[] = [];
  for (const each of nftables) {
    const [kind, body] = Object.entries(each)[0]!;
    if (kind === 'metainfo') continue;
    const { handle: _, elem, ...rest } = body;
    const choice = kind === 'chain' ? choiceNamed(String(body['name']), table.family) : undefined;
    if (choice) items.push(choiceItem(choice));
    for (const one of (elem as readonly unknown[] | undefined) ?? [])
      items.push(elementItem(table, String(body['name']), one));
    structure.push([kind, rest]);
  }
  return { items, structure: JSON.stringify(structure) };
}

function elementItem(table: Table, set: string, listed: unknown): Item {
  // A map's element is [key, value]; a set's is the key alone.
  if (!Array.isArray(listed)) return element(table, set, wordsOf(listed, set));
  const [key, value] = listed as readonly unknown[];
  return element(table, set, wordsOf(key, set), valueWords(value));
}

/** `elem` wraps what has a counter, a comment or a time-out. */
function wordsOf(value: unknown, set: string): string {
  if (typeof value === 'object' && value !== null && 'elem' in value)
    return wordsOf((value.elem as { readonly val: unknown }).val, set);
  if (typeof value === 'object' && value !== null && 'concat' in value) {
    const parts = value.concat as readonly unknown[];
    // Names of devices stand in quotes.
    return parts
      .map((part, at) => (set === 'sw_addr' && at === 0 ? `"${part}"` : String(part)))
      .join(' . ');
  }
  return String(value);
}

function valueWords(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'goto' in value)
    return `goto ${(value.goto as { readonly target: string }).target}`;
  return wordsOf(value, '');
}
