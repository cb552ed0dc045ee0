import { assert } from '../../shared/assert.ts';
import { type Rows, SCHEMA, TABLE_NAMES, type TableName, type TableSchema } from './schema.ts';
import type { TableView, View } from './view.ts';

/** Rows of one table in memory, with its indexes. Changed by apply alone. */
export class Table<R extends { readonly id: string }> implements TableView<R> {
  readonly #schema: TableSchema<R>;
  readonly #rows = new Map<string, R>();
  /** Index name -> key -> ids. Invariant: holds exactly the keys of the rows in `#rows`. */
  readonly #indexes: ReadonlyMap<string, Map<string, Set<string>>>;

  constructor(schema: TableSchema<R>) {
    this.#schema = schema;
    this.#indexes = new Map(Object.keys(schema.indexes).map((name) => [name, new Map()]));
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
    const ids = this.#index(name).get(key);
    if (ids === undefined) return [];
    const rows: R[] = [];
    for (const id of ids) rows.push(this.#rows.get(id)!);
    return rows;
  }
  countBy(name: string, key: string): number {
    return this.#index(name).get(key)?.size ?? 0;
  }

  /** Puts `row`, or deletes `id` when it is undefined; returns what was there. */
  set(id: string, row: R | undefined): R | undefined {
    const before = this.#rows.get(id);
    for (const [name, keysOf] of Object.entries(this.#schema.indexes)) {
      const index = this.#index(name);
      if (before !== undefined) for (const key of keysOf(before)) removeFrom(index, key, id);
      if (row !== undefined) for (const key of keysOf(row)) addTo(index, key, id);
    }
    if (row === undefined) this.#rows.delete(id);
    else this.#rows.set(id, row);
    return before;
  }

  #index(name: string): Map<string, Set<string>> {
    const index = this.#indexes.get(name);
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
