import type { TableSchema } from './schema.ts';
import { addTo, removeFrom, type Table } from './tables.ts';
import type { TableView } from './view.ts';

export type Undo = () => void;

interface Changed<R> {
  /** undefined: deleted. */
  readonly row: R | undefined;
  readonly bytes: Uint8Array | undefined;
}

/** A table as a draft sees it: the applied rows below, the draft's own changes above. */
export class OverlayTable<R extends { readonly id: string }> implements TableView<R> {
  readonly #base: Table<R>;
  readonly #indexes: readonly (readonly [string, (row: R) => readonly string[]])[];
  readonly #changed = new Map<string, Changed<R>>();
  /** Index name -> key -> ids of changed rows that have the key now. */
  readonly #added = new Map<string, Map<string, Set<string>>>();
  /** Index name -> key -> ids of base rows that had the key and are changed or deleted here. */
  readonly #hidden = new Map<string, Map<string, Set<string>>>();
  /** Rows here minus rows in the base. */
  #sizeDelta = 0;

  constructor(base: Table<R>, schema: TableSchema<R>) {
    this.#base = base;
    this.#indexes = Object.entries(schema.indexes);
    for (const [name] of this.#indexes) {
      this.#added.set(name, new Map());
      this.#hidden.set(name, new Map());
    }
  }

  get size(): number {
    return this.#base.size + this.#sizeDelta;
  }
  get changedCount(): number {
    return this.#changed.size;
  }
  changed(): Iterable<[string, Changed<R>]> {
    return this.#changed;
  }
  get(id: string): R | undefined {
    const changed = this.#changed.get(id);
    return changed === undefined ? this.#base.get(id) : changed.row;
  }
  has(id: string): boolean {
    return this.get(id) !== undefined;
  }
  all(): readonly R[] {
    const rows: R[] = [];
    for (const row of this.#base.all()) if (!this.#changed.has(row.id)) rows.push(row);
    for (const { row } of this.#changed.values()) if (row !== undefined) rows.push(row);
    return rows;
  }
  by(name: string, key: string): readonly R[] {
    const rows: R[] = [];
    for (const row of this.#base.by(name, key)) if (!this.#changed.has(row.id)) rows.push(row);
    for (const id of this.#added.get(name)?.get(key) ?? []) rows.push(this.#changed.get(id)!.row!);
    return rows;
  }
  countBy(name: string, key: string): number {
    const hidden = this.#hidden.get(name)?.get(key)?.size ?? 0;
    const added = this.#added.get(name)?.get(key)?.size ?? 0;
    return this.#base.countBy(name, key) - hidden + added;
  }

  /** Changes one row; the returned step takes exactly this change back. */
  set(id: string, row: R | undefined, bytes: Uint8Array | undefined): Undo {
    const before = this.#changed.get(id);
    const hadRow = this.has(id);
    this.#unindex(id, before?.row);
    if (before === undefined) this.#hide(id);
    this.#changed.set(id, { row, bytes });
    this.#index(id, row);
    const delta = Number(row !== undefined) - Number(hadRow);
    this.#sizeDelta += delta;
    return () => {
      this.#unindex(id, row);
      this.#sizeDelta -= delta;
      if (before === undefined) {
        this.#changed.delete(id);
        this.#reveal(id);
      } else {
        this.#changed.set(id, before);
        this.#index(id, before.row);
      }
    };
  }

  #index(id: string, row: R | undefined): void {
    if (row === undefined) return;
    for (const [name, keysOf] of this.#indexes)
      for (const key of keysOf(row)) addTo(this.#added.get(name)!, key, id);
  }
  #unindex(id: string, row: R | undefined): void {
    if (row === undefined) return;
    for (const [name, keysOf] of this.#indexes)
      for (const key of keysOf(row)) removeFrom(this.#added.get(name)!, key, id);
  }
  #hide(id: string): void {
    const row = this.#base.get(id);
    if (row === undefined) return;
    for (const [name, keysOf] of this.#indexes)
      for (const key of keysOf(row)) addTo(this.#hidden.get(name)!, key, id);
  }
  #reveal(id: string): void {
    const row = this.#base.get(id);
    if (row === undefined) return;
    for (const [name, keysOf] of this.#indexes)
      for (const key of keysOf(row)) removeFrom(this.#hidden.get(name)!, key, id);
  }
}
