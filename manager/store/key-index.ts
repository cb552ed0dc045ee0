/** Most keys of large tables have one id: a set for each would cost more than the rows. */
type Ids = string | Set<string>;

/** One index of a table: keys of rows -> their ids. */
export interface RowIndex<R> {
  /** A row of `id` was replaced; undefined: there was none, or there is none. */
  replace(id: string, before: R | undefined, after: R | undefined): void;
}

/** What is asked of an index by its name. */
export interface KeyLookup {
  of(key: string): Iterable<string>;
  count(key: string): number;
}

const NO_KEYS: readonly string[] = [];

export class KeyIndex<R> implements RowIndex<R>, KeyLookup {
  readonly #keysOf: (row: R) => readonly string[];
  readonly #ids = new Map<string, Ids>();

  constructor(keysOf: (row: R) => readonly string[]) {
    this.#keysOf = keysOf;
  }
  of(key: string): Iterable<string> {
    return each(this.#ids.get(key));
  }
  count(key: string): number {
    return sizeOf(this.#ids.get(key));
  }
  replace(id: string, before: R | undefined, after: R | undefined): void {
    const old = before === undefined ? NO_KEYS : this.#keysOf(before);
    const fresh = after === undefined ? NO_KEYS : this.#keysOf(after);
    if (sameKeys(old, fresh)) return;
    for (const key of old) remove(this.#ids, key, id);
    for (const key of fresh) add(this.#ids, key, id);
  }
}

/** The second part of a key: a number costs a row no text. */
export type Part = string | number;

/** Where a row stands in an index of two levels, and which key says so. */
export interface TwoLevels<R> {
  groupOf(row: R): string;
  partOf(row: R): Part;
  split(key: string): readonly [group: string, part: Part];
}

interface Group {
  /** Of all parts. */
  count: number;
  readonly parts: Map<Part, Ids>;
}

/**
 * An index whose keys have two parts, and which is asked by the first one as well: the slots of a
 * service, and all its tasks. One tree for both costs a million tasks neither a text nor a second entry.
 */
export class TwoLevelIndex<R> implements RowIndex<R> {
  readonly #levels: TwoLevels<R>;
  /** Invariant: none is empty. */
  readonly #groups = new Map<string, Group>();

  constructor(levels: TwoLevels<R>) {
    this.#levels = levels;
  }
  readonly groups: KeyLookup = {
    of: (group) => this.#ofGroup(group),
    count: (group) => this.#groups.get(group)?.count ?? 0,
  };
  readonly parts: KeyLookup = {
    of: (key) => each(this.#ofPart(key)),
    count: (key) => sizeOf(this.#ofPart(key)),
  };
  replace(id: string, before: R | undefined, after: R | undefined): void {
    const { groupOf, partOf } = this.#levels;
    if (before !== undefined && after !== undefined)
      if (groupOf(before) === groupOf(after) && partOf(before) === partOf(after)) return;
    if (before !== undefined) this.#remove(groupOf(before), partOf(before), id);
    if (after !== undefined) this.#add(groupOf(after), partOf(after), id);
  }

  *#ofGroup(name: string): Iterable<string> {
    for (const ids of this.#groups.get(name)?.parts.values() ?? [])
      if (typeof ids === 'string') yield ids;
      else yield* ids;
  }
  #ofPart(key: string): Ids | undefined {
    const [group, part] = this.#levels.split(key);
    return this.#groups.get(group)?.parts.get(part);
  }
  #add(name: string, part: Part, id: string): void {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { count: 0, parts: new Map() };
      this.#groups.set(name, group);
    }
    if (add(group.parts, part, id)) group.count++;
  }
  #remove(name: string, part: Part, id: string): void {
    const group = this.#groups.get(name);
    if (group === undefined || !remove(group.parts, part, id)) return;
    if (--group.count === 0) this.#groups.delete(name);
  }
}

/** False: it was there. */
function add<K>(index: Map<K, Ids>, key: K, id: string): boolean {
  const ids = index.get(key);
  if (ids === undefined) index.set(key, id);
  else if (ids === id || (typeof ids !== 'string' && ids.has(id))) return false;
  else if (typeof ids === 'string') index.set(key, new Set([ids, id]));
  else ids.add(id);
  return true;
}

/** False: it was not there. */
function remove<K>(index: Map<K, Ids>, key: K, id: string): boolean {
  const ids = index.get(key);
  if (ids === undefined) return false;
  if (typeof ids === 'string') return ids === id && index.delete(key);
  const was = ids.delete(id);
  if (ids.size === 0) index.delete(key);
  return was;
}

function each(ids: Ids | undefined): Iterable<string> {
  if (ids === undefined) return NO_KEYS;
  return typeof ids === 'string' ? [ids] : ids;
}

function sizeOf(ids: Ids | undefined): number {
  if (ids === undefined) return 0;
  return typeof ids === 'string' ? 1 : ids.size;
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
