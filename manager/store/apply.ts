import { type Codec, StoreEntry } from '../../proto/index.ts';
import { assert } from '../../shared/assert.ts';
import type { RowChange } from '../replication.ts';
import { type Rows, SCHEMA, type TableName } from './schema.ts';
import type { Tables } from './tables.ts';
import type { AppliedEntry, Change } from './view.ts';

/** The highest entry format this release understands; a newer one stops the process. */
export const ENTRY_FORMAT = 1;

export interface Applied {
  readonly entry: AppliedEntry;
  readonly rows: readonly RowChange[];
}

/** A row that the leader still has from its draft, so that it need not be decoded again. */
export type DraftRows = ReadonlyMap<TableName, ReadonlyMap<string, unknown>>;

/**
 * Entry -> state. Deterministic and without conditions on content: no clock, no ids, no decisions;
 * it stores what the leader put into the entry.
 */
export function applyEntry(
  tables: Tables,
  index: number,
  term: number,
  bytes: Uint8Array,
  known?: DraftRows,
): Applied {
  const entry = StoreEntry.decode(bytes);
  assert(
    entry.format <= ENTRY_FORMAT,
    `entry ${index} has format ${entry.format}: this release is older than its cluster`,
  );
  assert(index > tables.index, `entry ${index} applied after ${tables.index}`);
  const changes: Change[] = [];
  const rows: RowChange[] = [];
  const set = (
    name: TableName,
    id: string,
    row: unknown,
    encoded: Uint8Array | undefined,
  ): void => {
    const before = tables.table(name).set(id, row as never);
    changes.push({ table: name, id, before, after: row as Rows[TableName] | undefined });
    rows.push({ table: name, id, version: index, bytes: encoded, secret: SCHEMA[name].secret });
  };
  for (const { table, puts, deletes } of entry.tables) {
    const name = table as TableName;
    const schema = SCHEMA[name];
    assert(schema !== undefined, `entry ${index} names an unknown table ${table}`);
    const drafted = [...(known?.get(name)?.values() ?? [])];
    for (const [at, encoded] of puts.entries()) {
      const row = versioned(schema.codec as never, drafted[at], encoded, index);
      if (drafted[at] === undefined) shareStrings(tables, name, row);
      const id = name === 'event' ? eventKey(index) : row.id;
      set(name, id, name === 'event' ? withId(row, id) : row, encoded);
    }
    for (const id of deletes) set(name, id, undefined, undefined);
  }
  tables.index = index;
  tables.timeMs = Math.max(tables.timeMs, entry.timeMs);
  tables.wallMs = entry.wallMs;
  rows.push(clockRow(index, tables));
  return { entry: { index, term, timeMs: tables.timeMs, changes }, rows };
}

/**
 * Cluster time and wall time as they lie on disk: one row beside the tables, replaced by every entry.
 * Derived from other rows they would go back where the newest moment is in a deleted row, or in none.
 */
export const CLOCK_ROW = { table: 'clock', id: 'time' } as const;

type Moment = Pick<Tables, 'timeMs' | 'wallMs'>;

function clockRow(index: number, { timeMs, wallMs }: Moment): RowChange {
  const bytes = Buffer.from(`${timeMs} ${wallMs}`);
  return { ...CLOCK_ROW, version: index, bytes, secret: false };
}

/** The moment in a stored row; undefined: it is a row of a table. */
export function storedMoment(row: RowChange): Moment | undefined {
  if (row.table !== CLOCK_ROW.table || row.bytes === undefined) return undefined;
  const [timeMs, wallMs = 0] = Buffer.from(row.bytes).toString().split(' ').map(Number);
  return { timeMs: timeMs!, wallMs };
}

interface MutableRow {
  id: string;
  version: number;
}

/** The row with its version, which is the index of its entry. Only ever called on a fresh object. */
function versioned(
  codec: Codec<MutableRow>,
  drafted: unknown,
  encoded: Uint8Array,
  index: number,
): MutableRow {
  const row = (drafted as MutableRow | undefined) ?? codec.decode(encoded);
  row.version = index;
  return row;
}

function withId(row: MutableRow, id: string): MutableRow {
  row.id = id;
  return row;
}

/** A row of the tables as `applyEntry` gave it to be stored. */
export function storedRow(tables: Tables, table: string, id: string): RowChange | undefined {
  if (table === CLOCK_ROW.table) return clockRow(tables.index, tables);
  if (!Object.hasOwn(SCHEMA, table)) return undefined;
  const name = table as TableName;
  const row = tables.table(name).get(id);
  if (row === undefined) return undefined;
  const { secret } = SCHEMA[name];
  const codec = SCHEMA[name].codec as unknown as Codec<{
    id: string;
    version?: number | undefined;
  }>;
  // The key of a row of events is the index of its entry, which was not known when it was encoded.
  const stored = { id: name === 'event' ? '' : id, version: undefined };
  const bytes = codec.encode(codec.with(row, stored));
  return { table, id, version: row.version, bytes, secret };
}

export function eventKey(index: number): string {
  return String(index).padStart(16, '0');
}

/** A stored row back in memory. */
export function decodeRow(
  name: TableName,
  id: string,
  version: number,
  bytes: Uint8Array,
): Rows[TableName] {
  const row = SCHEMA[name].codec.decode(bytes) as unknown as MutableRow;
  // Its own, where it has one: the other is a part of a longer text, which it would keep.
  if (row.id !== id) row.id = id;
  row.version = version;
  return row as unknown as Rows[TableName];
}

/**
 * Rows name others by their ids. Decoded, each has a copy of its own; of a million tasks these are
 * half of the memory. Those of the rows that are named are taken instead. Only for a row that nobody else has yet.
 */
export function shareStrings(tables: Tables, name: TableName, row: unknown): void {
  if (name === 'taskStatus') {
    const status = row as { id: string };
    status.id = tables.table('task').get(status.id)?.id ?? status.id;
  }
  if (name !== 'task') return;
  const task = row as { serviceId: string; nodeId: string };
  const service = tables.table('service').get(task.serviceId);
  if (service !== undefined) task.serviceId = service.id;
  const node = tables.table('node').get(task.nodeId);
  if (node !== undefined) task.nodeId = node.id;
}
