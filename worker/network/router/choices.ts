import { BUCKETS } from './buckets.ts';
import { chain, type Family, type Item, routerTable } from './items.ts';

/**
 * How one of several backends is chosen for a new connection: a chain that all services with as many
 * backends share. Adding and removing backends then only changes elements of maps. The number of the
 * choice goes through the packet's mark, which is set anew before its route is looked for.
 */
export interface Choice {
  readonly chain: string;
  readonly family: Family;
  readonly rules: readonly string[];
}

/** virtual: a service's address; port: a port published on every node; door: one published on some. */
export type ChoiceOf = 'virtual' | 'port' | 'door';

const LETTERS: { readonly [of in ChoiceOf]: string } = { virtual: 'v', port: 'p', door: 'd' };
const KEYS: { readonly [of in ChoiceOf]: (ip: string) => string } = {
  virtual: (ip) => `${ip} daddr`,
  port: () => 'meta l4proto . th dport',
  door: (ip) => `${ip} daddr . meta l4proto . th dport`,
};
const MAPS: { readonly [of in ChoiceOf]: string } = {
  virtual: 'sw_backs',
  port: 'sw_pbacks',
  door: 'sw_dbacks',
};

/** The same everywhere, so that every node sends a client to the same backend. */
const SEED = '0x73776172';

/** `of` so many backends, or by the client's address. */
export function choiceOf(of: ChoiceOf, family: Family, backends: number | 'client'): Choice {
  const ip = family === 6 ? 'ip6' : 'ip';
  const pick =
    backends === 'client'
      ? `jhash ${ip} saddr mod ${BUCKETS} seed ${SEED}`
      : `numgen random mod ${backends}`;
  const where = `${KEYS[of](ip)} . meta mark map @${MAPS[of]}`;
  const rules = [
    `meta mark set ${pick}`,
    of === 'virtual' ? `dnat to ${where}` : `meta l4proto { tcp, udp } dnat ${ip} to ${where}`,
  ];
  return { chain: `sw_${LETTERS[of]}${backends === 'client' ? 'c' : backends}`, family, rules };
}

export function choiceItem({ chain: name, family, rules }: Choice): Item {
  return chain(routerTable(family), name, rules);
}

/** The choice whose chain has this name; undefined: it is none. */
export function choiceNamed(name: string, family: Family): Choice | undefined {
  const match = /^sw_([vpd])(c|[1-9]\d*)$/.exec(name);
  if (match === null) return undefined;
  const of = (Object.keys(LETTERS) as ChoiceOf[]).find((each) => LETTERS[each] === match[1])!;
  return choiceOf(of, family, match[2] === 'c' ? 'client' : Number(match[2]));
}
