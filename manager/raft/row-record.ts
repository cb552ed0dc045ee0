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

/**
 * All rows of a generation, in key order. A thousand are read at a time, so that no stretch of work
 * holds the loop for 10 ms; `note` sees each one first.
 */
export async function* rowsOf(
  source: Pick<DbSnapshot, 'slices'>,
  generation: number,
  note: (row: RowChange) => void = () => undefined,
): AsyncGenerator<RowChange, void> {
  // One generator, not one in another: each costs several turns of the microtask queue a row.
  for await (const slice of source.slices(stateRange(generation))) {
    for (const row of slice) {
      const change = rowOf(row);
      note(change);
      yield change;
    }
  }
}
