import { assert } from '../../shared/assert.ts';
import type { Clock } from '../../shared/clock.ts';
import { Slices } from '../../shared/slices.ts';
import type { RowChange, RowSlices } from '../replication.ts';
import { decodeRow, shareStrings, storedMoment } from './apply.ts';
import { TABLE_NAMES, type TableName } from './schema.ts';
import { Tables } from './tables.ts';

/**
 * Builds all tables from stored rows. Rows first, then one index after the other: what grows by
 * doubling in one big step does so alone, and nobody waits for several of them.
 */
export async function loadTables(rows: RowSlices, clock: Clock): Promise<Tables> {
  const tables = new Tables();
  for await (const slice of rows) for (const row of slice) put(tables, row);
  await new Slices(clock, indexesOf(tables)).ended;
  return tables;
}

function* indexesOf(tables: Tables): Generator<void, void> {
  for (const name of TABLE_NAMES) yield* tables.table(name).buildIndexes();
}

function put(tables: Tables, row: RowChange): void {
  const moment = storedMoment(row);
  if (moment !== undefined) {
    Object.assign(tables, moment);
    return;
  }
  const { id, version, bytes } = row;
  assert(bytes !== undefined, 'a stored row without bytes');
  const name = row.table as TableName;
  const decoded = decodeRow(name, id, version, bytes);
  shareStrings(tables, name, decoded);
  tables.table(name).putUnindexed(decoded as never);
  tables.index = Math.max(tables.index, version);
}
