import { type Codec, type Event, EventRow, StoreEntry } from '../../proto/index.ts';
import { assert } from '../../shared/assert.ts';
import type { IdSource } from '../../shared/ids.ts';
import { OverlayTable, type Undo } from './overlay.ts';
import { type Rows, SCHEMA, TABLE_NAMES, type TableName, type Writer } from './schema.ts';
import type { Tables } from './tables.ts';
import { type Draft, PENDING_VERSION, type TableView } from './view.ts';

export interface DraftMoment {
  readonly timeMs: number;
  readonly wallMs: number;
}

/**
 * The draft of one group: a copy-on-write view over the applied tables. Functions run on it one after
 * the other, each inside a savepoint, and what stands at the end is encoded as one entry.
 */
export class GroupDraft implements Draft {
  readonly index: number;
  readonly timeMs: number;
  readonly wallMs: number;
  readonly #base: Tables;
  readonly #ids: IdSource;
  readonly #overlays = new Map<TableName, OverlayTable<Rows[TableName]>>();
  readonly #events: Event[] = [];
  /** Undo steps of the running function, newest last. */
  #undo: Undo[] = [];
  #writer: Writer = 'store';
  /** Encoded bytes of the functions that stand, and of the one that runs. */
  #standingBytes = 0;
  #runningBytes = 0;
  #eventMark = 0;

  constructor(base: Tables, ids: IdSource, moment: DraftMoment) {
    this.#base = base;
    this.#ids = ids;
    this.index = base.index;
    this.timeMs = moment.timeMs;
    this.wallMs = moment.wallMs;
  }

  get bytes(): number {
    return this.#runningBytes;
  }
  /** Of the whole group. */
  get groupBytes(): number {
    return this.#standingBytes + this.#runningBytes;
  }

  table<T extends TableName>(name: T): TableView<Rows[T]> {
    const overlay = this.#overlays.get(name);
    return (overlay ?? this.#base.table(name)) as unknown as TableView<Rows[T]>;
  }

  newId(): string {
    return this.#ids.next();
  }

  put<T extends TableName>(name: T, row: Rows[T]): void {
    const schema = SCHEMA[name];
    assert(
      schema.writer === this.#writer || schema.alsoPut.includes(this.#writer),
      `${this.#writer} may not write ${name}`,
    );
    assert(row.id !== '', `a row of ${name} without a key`);
    const codec = schema.codec as unknown as Codec<{ version?: number | undefined }>;
    const copy = codec.with(row, { version: undefined }) as Rows[T] & { version: number };
    const bytes = codec.encode(copy);
    copy.version = PENDING_VERSION;
    this.#set(name, row.id, copy, bytes);
  }

  delete(name: TableName, id: string): void {
    const schema = SCHEMA[name];
    assert(
      schema.writer === this.#writer || schema.alsoDelete.includes(this.#writer),
      `${this.#writer} may not delete from ${name}`,
    );
    if (this.table(name).has(id)) this.#set(name, id, undefined, undefined);
  }

  /** The store's own rows (answers, events), written beside any function. */
  putOwn<T extends TableName>(name: T, row: Rows[T]): void {
    this.#asStore(() => this.put(name, row));
  }
  deleteOwn(name: TableName, id: string): void {
    this.#asStore(() => this.delete(name, id));
  }

  emit(event: Omit<Event, 'atWallMs' | 'attributes'> & { attributes?: Event['attributes'] }): void {
    this.#events.push({ attributes: {}, ...event, atWallMs: this.wallMs });
    this.#runningBytes += 48 + event.name.length + event.message.length;
  }

  /** Runs `fn` in a savepoint of `writer`: what it throws undoes it alone. */
  run<R>(writer: Writer, fn: (draft: Draft) => R): R {
    this.#begin(writer);
    try {
      return fn(this);
    } catch (error) {
      this.rollback();
      throw error;
    }
  }

  /** The last function stands. */
  keep(): void {
    this.#standingBytes += this.#runningBytes;
    this.#begin('store');
  }

  /** Undoes the last function that was not kept. */
  rollback(): void {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) step();
    this.#events.length = this.#eventMark;
    this.#begin('store');
  }

  get isEmpty(): boolean {
    if (this.#events.length > 0) return false;
    for (const overlay of this.#overlays.values()) if (overlay.changedCount > 0) return false;
    return true;
  }

  /** The rows of the group by table, as they will read once `version` is set. */
  changes(): {
    table: TableName;
    id: string;
    row: Rows[TableName] | undefined;
    bytes: Uint8Array | undefined;
  }[] {
    const out = [];
    for (const name of TABLE_NAMES) {
      const overlay = this.#overlays.get(name);
      if (overlay === undefined) continue;
      for (const [id, entry] of overlay.changed())
        out.push({ table: name, id, row: entry.row, bytes: entry.bytes });
    }
    return out;
  }

  /** Closes the group. The events row has no key yet: it is the entry's index, known at apply. */
  encode(format: number): Uint8Array {
    const tables = [];
    if (this.#events.length > 0) {
      const row = EventRow.encode(EventRow.create({ events: this.#events }));
      tables.push({ table: 'event', puts: [row] });
    }
    for (const name of TABLE_NAMES) {
      const overlay = this.#overlays.get(name);
      if (overlay === undefined || overlay.changedCount === 0) continue;
      const puts: Uint8Array[] = [];
      const deletes: string[] = [];
      for (const [id, entry] of overlay.changed()) {
        if (entry.bytes === undefined) deletes.push(id);
        else puts.push(entry.bytes);
      }
      tables.push({ table: name, puts, deletes });
    }
    return StoreEntry.encode(
      StoreEntry.create({ timeMs: this.timeMs, wallMs: this.wallMs, format, tables }),
    );
  }

  #asStore(fn: () => void): void {
    const writer = this.#writer;
    this.#writer = 'store';
    fn();
    this.#writer = writer;
  }

  #begin(writer: Writer): void {
    this.#writer = writer;
    this.#undo = [];
    this.#runningBytes = 0;
    this.#eventMark = this.#events.length;
  }

  #set<T extends TableName>(
    name: T,
    id: string,
    row: Rows[T] | undefined,
    bytes: Uint8Array | undefined,
  ): void {
    let overlay = this.#overlays.get(name);
    if (overlay === undefined) {
      overlay = new OverlayTable(this.#base.table(name) as never, SCHEMA[name] as never);
      this.#overlays.set(name, overlay);
    }
    this.#undo.push(overlay.set(id, row, bytes));
    this.#runningBytes += (bytes?.byteLength ?? 0) + id.length + 8;
  }
}
