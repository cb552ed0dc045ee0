import type { Item } from './items.ts';

/** What has to be done, in this order. */
export interface Changes {
  /** What is in the way of something that cannot be put over it. */
  readonly clear: readonly Item[];
  readonly make: readonly Item[];
  /** What nobody wants any more: last, since until then packets may need it. */
  readonly take: readonly Item[];
}

export type Items = ReadonlyMap<string, Item>;
export type Parts = ReadonlyMap<string, readonly Item[]>;

/** From what there is to what there should be. */
export function diff(have: Items, want: Items): Changes {
  const clear: Item[] = [];
  const make = new Map<string, Item>();
  for (const item of want.values()) {
    const there = have.get(item.id);
    if (there?.text === item.text) continue;
    if (there !== undefined && !item.replaces) clear.push(there);
    make.set(item.id, item);
  }
  const take = [...have.values()].filter((item) => !want.has(item.id));
  // A link that goes takes along what hangs on it; one that comes back needs it again.
  const gone = new Set([...clear, ...take].flatMap((item) => item.link ?? []));
  const hangs = ({ device }: Item): boolean => device !== undefined && gone.has(device);
  if (gone.size > 0) for (const item of want.values()) if (hangs(item)) make.set(item.id, item);
  return {
    clear: clear.filter((item) => !hangs(item)).sort(lastFirst),
    make: [...make.values()].sort((a, b) => a.step - b.step),
    take: take.filter((item) => !hangs(item)).sort(lastFirst),
  };
}

function lastFirst(a: Item, b: Item): number {
  return b.step - a.step;
}

/** What two plans do not share: parts that are the same object are not looked into. */
export function differing(
  before: Parts,
  after: Parts,
): { readonly have: Items; readonly want: Items } {
  const have = new Map<string, Item>();
  const want = new Map<string, Item>();
  for (const [name, part] of before)
    if (after.get(name) !== part) for (const item of part) have.set(item.id, item);
  for (const [name, part] of after)
    if (before.get(name) !== part) for (const item of part) want.set(item.id, item);
  const remade = [...want.values()].some(
    ({ id, link, text, replaces }) =>
      link !== undefined && !replaces && have.has(id) && have.get(id)!.text !== text,
  );
  return remade ? { have: flat(before), want: flat(after) } : { have, want };
}

export function flat(parts: Parts): Items {
  const items = new Map<string, Item>();
  for (const part of parts.values()) for (const item of part) items.set(item.id, item);
  return items;
}

/** Addresses of backends that new connections went to and go to no more. */
export function leavingBackends(have: Items, want: Items): readonly string[] {
  const left = (items: Items): ReadonlySet<string> =>
    new Set(
      [...items.values()]
        .filter(({ id }) => /^element \S+ \S+ sw_(p|d)?backs /.test(id))
        .map(({ text }) => text.split(' ', 1)[0]!),
    );
  const stay = left(want);
  return [...left(have)].filter((address) => !stay.has(address));
}

/**
 * Addresses of endpoints that are gone for good: `all` is everything that is wanted, also what is not
 * looked into because it has not changed.
 */
export function goneEndpoints(have: Items, want: Items, all: Parts): readonly string[] {
  const routed = (items: Items): ReadonlySet<string> =>
    new Set(
      [...items.values()].flatMap(({ id, text }) => {
        const match = /^route \d+ ([^/]+)$/.exec(id);
        return match && text !== 'unreachable' ? [match[1]!] : [];
      }),
    );
  const stay = routed(want);
  const left = [...routed(have)].filter((address) => !stay.has(address));
  if (left.length === 0) return left;
  const elsewhere = routed(flat(all));
  return left.filter((address) => !elsewhere.has(address));
}
