import type { DbOp, DbRow, DbSnapshot } from '../database/index.ts';
import type { RowChange } from '../replication.ts';
import { putU64, readU64, rowKey, rowName, splitRowName, stateRange } from './keys.ts';

const VERSION_BYTES = 8;

/** A row as it is written: u64 version, then the bytes of the row. */
export function rowOp(generation: number, change: RowChange): DbOp {
  const key = rowKey(generation, change.table, change.id);
  if (change.bytes === undefined) return { key, value: undefined, secret: false };
  const value = Buffer.allocUnsafe(VERSION_BYTES + change.bytes.length);
  putU64(value, change.version, 0);
  value.set(change.bytes, VERSION_BYTES);
  return { key, value, secret: change.secret };
}

export function rowOf(row: DbRow): RowChange {
  const { table, id } = splitRowName(rowName(row.key));
  return {
    table,
    id,
    version: readU64(row.value, 0),
    bytes: row.value.subarray(VERSION_BYTES),
    secret: row.secret,
  };
}

/** All rows of a generation, a thousand a read, so that no slice holds the loop for 10 ms. */
export async function* rowsOf(
  source: Pick<DbSnapshot, 'iterate'>,
  generation: number,
): AsyncGenerator<RowChange, void> {
  for await (const row of source.iterate(stateRange(generation))) yield rowOf(row);
}
