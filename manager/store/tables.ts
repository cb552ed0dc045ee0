import { assert } from '../../shared/assert.ts';
import { KeyIndex, type KeyLookup, type RowIndex, TwoLevelIndex } from './key-index.ts';
import { type Rows, SCHEMA, TABLE_NAMES, type TableName, type TableSchema } from './schema.ts';
import type { TableView, View } from './view.ts';

/** Of an index that is being built, between two looks at the clock. */
const ROWS_PER_STEP = 500;

/** Rows of one table in memory, with its indexes. Changed by apply alone. */
export class Table<R extends { readonly id: string }> implements TableView<R> {
  readonly #rows = new Map<string, R>();
  /** Invariant: each holds exactly the keys of the rows in `#rows`. */
  readonly #indexes: readonly RowIndex<R>[];
  readonly #lookups: ReadonlyMap<string, KeyLookup>;

  constructor({ indexes, tree }: TableSchema<R>) {
    const built: RowIndex<R>[] = [];
    const lookups = new Map<string, KeyLookup>();
    if (tree !== undefined) {
      const index = new TwoLevelIndex(tree.levels);
      built.push(index);
      lookups.set(tree.groups, index.groups).set(tree.parts, index.parts);
    }
    for (const [name, keysOf] of Object.entries(indexes)) {
      if (lookups.has(name)) continue;
      const index = new KeyIndex(keysOf);
      built.push(index);
      lookups.set(name, index);
    }
    this.#indexes = built;
    this.#lookups = lookups;
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

  #index(name: string): KeyLookup {
    const index = this.#lookups.get(name);
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
