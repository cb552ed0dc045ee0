import type { AttachedNetwork, NetworkService } from '../../../proto/index.ts';
import { contains, formatAddress, type Prefix, parsePrefix } from '../../../shared/prefix.ts';
import { nameBytes } from './answer.ts';
import { type Addresses, holdersOf, namesOf } from './service-names.ts';

interface Network {
  /** What may stand behind its names. */
  readonly suffix: string;
  readonly prefixes: readonly Prefix[];
  readonly internal: boolean;
}

/** Names and addresses of one network; each by the rows that bring it. */
interface Zone {
  readonly names: Map<string, Map<string, Addresses>>;
  readonly holders: Map<string, string>;
}

/** Everything that has a name on the networks of this node. A change costs what its row brings. */
export class NameTable {
  readonly #networks = new Map<string, Network>();
  readonly #zones = new Map<string, Zone>();
  readonly #rows = new Map<string, NetworkService>();
  #version = 0;

  /** Grows with every change: what was answered before may be wrong. */
  get version(): number {
    return this.#version;
  }
  clear(): void {
    this.#version++;
    this.#networks.clear();
    this.#zones.clear();
    this.#rows.clear();
  }
  putNetwork({ id, name, subnets, internal }: AttachedNetwork): void {
    this.#version++;
    this.#networks.set(id, {
      suffix: `.${name.toLowerCase()}`,
      prefixes: subnets.flatMap(({ cidr }) => parsePrefix(cidr) ?? []),
      internal,
    });
  }
  removeNetwork(id: string): void {
    this.#version++;
    this.#networks.delete(id);
  }
  putService(row: NetworkService): void {
    this.removeService(row.id);
    this.#rows.set(row.id, row);
    let zone = this.#zones.get(row.networkId);
    if (zone === undefined) {
      zone = { names: new Map(), holders: new Map() };
      this.#zones.set(row.networkId, zone);
    }
    for (const [name, addresses] of namesOf(row)) {
      const known = zone.names.get(name);
      if (known === undefined) zone.names.set(name, new Map([[row.id, addresses]]));
      else known.set(row.id, addresses);
    }
    for (const [address, name] of holdersOf(row)) zone.holders.set(address, name);
  }
  removeService(id: string): void {
    this.#version++;
    const row = this.#rows.get(id);
    const zone = row && this.#zones.get(row.networkId);
    if (row === undefined || zone === undefined) return;
    this.#rows.delete(id);
    for (const name of namesOf(row).keys()) {
      const known = zone.names.get(name);
      known?.delete(id);
      if (known?.size === 0) zone.names.delete(name);
    }
    for (const [address, name] of holdersOf(row))
      if (zone.holders.get(address) === name) zone.holders.delete(address);
    if (zone.names.size === 0) this.#zones.delete(row.networkId);
  }

  /** What a name stands for on the first of these networks that has it; undefined: on none. */
  find(networkIds: readonly string[], name: string): Addresses | undefined {
    for (const id of networkIds) {
      const zone = this.#zones.get(id);
      const network = this.#networks.get(id);
      if (zone === undefined || network === undefined) continue;
      const { suffix } = network;
      const inner = name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
      const found = zone.names.get(name) ?? (inner && zone.names.get(inner));
      if (found) return merged([...found.values()]);
    }
    return undefined;
  }
  /**
   * The name of an address that is asked for backwards (`7.1.0.10.in-addr.arpa`). 'nobody': an address of
   * these networks that nobody has; undefined: of none of them, or no address.
   */
  findHolder(networkIds: readonly string[], name: string): Uint8Array | 'nobody' | undefined {
    const prefix = reversed(name);
    if (prefix === undefined) return undefined;
    const address = formatAddress(prefix.family, prefix.base);
    let isOurs = false;
    for (const id of networkIds) {
      const network = this.#networks.get(id);
      if (network === undefined) continue;
      const holder = this.#zones.get(id)?.holders.get(address);
      if (holder !== undefined) return nameBytes(`${holder}${network.suffix}`);
      isOurs ||= network.prefixes.some((each) => contains(each, prefix));
    }
    return isOurs ? 'nobody' : undefined;
  }
  /** Whether somebody on these networks may ask for names of the world outside. */
  hasWayOut(networkIds: readonly string[]): boolean {
    return networkIds.some((id) => this.#networks.get(id)?.internal === false);
  }
}

function merged(list: readonly Addresses[]): Addresses {
  if (list.length === 1) return list[0]!;
  return { four: list.flatMap(({ four }) => four), six: list.flatMap(({ six }) => six) };
}

const REVERSE4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;
const REVERSE6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/;

function reversed(name: string): Prefix | undefined {
  const four = REVERSE4.exec(name);
  if (four !== null) return parsePrefix(four.slice(1, 5).reverse().join('.'));
  const six = REVERSE6.exec(name);
  if (six === null) return undefined;
  const digits = six[1]!.replaceAll('.', '').split('').reverse().join('');
  return parsePrefix(digits.match(/.{4}/g)!.join(':'));
}
