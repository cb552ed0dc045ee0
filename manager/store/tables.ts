import { assert } from '../../shared/assert.ts';
import { type Rows, SCHEMA, TABLE_NAMES, type TableName, type TableSchema } from './schema.ts';
import type { TableView, View } from './view.ts';

/**
 * One index: key -> ids. Most keys of large tables have one id (the slot of a task), and a set for
 * each of a million of those would cost more than the rows: it stands alone.
 */
class KeyIndex<R> {
  readonly keysOf: (row: R) => readonly string[];
  readonly #ids = new Map<string, string | Set<string>>();

  constructor(keysOf: (row: R) => readonly string[]) {
    this.keysOf = keysOf;
  }
  of(key: string): Iterable<string> {
    const ids = this.#ids.get(key);
    if (ids === undefined) return [];
    return typeof ids === 'string' ? [ids] : ids;
  }
  count(key: string): number {
    const ids = this.#ids.get(key);
    if (ids === undefined) return 0;
    return typeof ids === 'string' ? 1 : ids.size;
  }
  add(key: string, id: string): void {
    const ids = this.#ids.get(key);
    if (ids === undefined) this.#ids.set(key, id);
    else if (typeof ids !== 'string') ids.add(id);
    else if (ids !== id) this.#ids.set(key, new Set([ids, id]));
  }
  remove(key: string, id: string): void {
    const ids = this.#ids.get(key);
    if (ids === undefined) return;
    if (typeof ids === 'string') {
      if (ids === id) this.#ids.delete(key);
      return;
    }
    ids.delete(id);
    if (ids.size === 0) this.#ids.delete(key);
  }
  /** A row of `id` was replaced; undefined: there was none, or there is none. */
  replace(id: string, before: R | undefined, after: R | undefined): void {
    const old = before === undefined ? NO_KEYS : this.keysOf(before);
    const fresh = after === undefined ? NO_KEYS : this.keysOf(after);
    if (sameKeys(old, fresh)) return;
    for (const key of old) this.remove(key, id);
    for (const key of fresh) this.add(key, id);
  }
}

/** Of an index that is being built, between two looks at the clock. */
const ROWS_PER_STEP = 500;
const NO_KEYS: readonly string[] = [];

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Rows of one table in memory, with its indexes. Changed by apply alone. */
export class Table<R extends { readonly id: string }> implements TableView<R> {
  readonly #rows = new Map<string, R>();
  /** Invariant: each holds exactly the keys of the rows in `#rows`. */
  readonly #indexes: readonly KeyIndex<R>[];
  readonly #indexNames: readonly string[];

  constructor(schema: TableSchema<R>) {
    this.#indexNames = Object.keys(schema.indexes);
    this.#indexes = Object.values(schema.indexes).map((keysOf) => new KeyIndex(keysOf));
  }

  get size(): number {
    return this.#rows.size;
  }
  get(id: string): R | undefined {
    return this.#rows.get(id);
  }
  has(id: string): boolean {
    return this.#rows.has(id);
  }
  all(): Iterable<R> {
    return this.#rows.values();
  }
  by(name: string, key: string): readonly R[] {
    const rows: R[] = [];
    for (const id of this.#index(name).of(key)) rows.push(this.#rows.get(id)!);
    return rows;
  }
  countBy(name: string, key: string): number {
    return this.#index(name).count(key);
  }

  /** Puts `row`, or deletes `id` when it is undefined; returns what was there. */
  set(id: string, row: R | undefined): R | undefined {
    const before = this.#rows.get(id);
    for (const index of this.#indexes) index.replace(id, before, row);
    if (row === undefined) this.#rows.delete(id);
    else this.#rows.set(id, row);
    return before;
  }

  /** For loading only: `buildIndexes` must follow the last of them. */
  putUnindexed(row: R): void {
    this.#rows.set(row.id, row);
  }
  /** One index after the other, with a pause after every few hundred rows. */
  *buildIndexes(): Generator<void, void> {
    for (const index of this.#indexes) {
      let left = ROWS_PER_STEP;
      for (const row of this.#rows.values()) {
        index.replace(row.id, undefined, row);
        if (--left > 0) continue;
        left = ROWS_PER_STEP;
        yield;
      }
    }
  }

  #index(name: string): KeyIndex<R> {
    const index = this.#indexes[this.#indexNames.indexOf(name)];
    assert(index !== undefined, `no index ${name}`);
    return index;
  }
}

export function addTo(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) index.set(key, new Set([id]));
  else ids.add(id);
}

export function removeFrom(index: Map<string, Set<string>>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) return;
  ids.delete(id);
  if (ids.size === 0) index.delete(key);
}

/** All tables after one entry: the state. */
export class Tables implements View {
  index = 0;
  timeMs = 0;
  wallMs = 0;
  readonly #tables: { readonly [T in TableName]: Table<Rows[T]> };

  constructor() {
    const tables: Partial<Record<TableName, unknown>> = {};
    for (const name of TABLE_NAMES) tables[name] = new Table(SCHEMA[name] as never);
    this.#tables = tables as { [T in TableName]: Table<Rows[T]> };
  }
  table<T extends TableName>(name: T): Table<Rows[T]> {
    return this.#tables[name];
  }
}
