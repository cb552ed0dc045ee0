import type { Database, DbOp, DbRow, NamedRow } from '../../database/index.ts';
import type { RowChange } from '../../replication.ts';
import { putU64, readU64, rowKey, rowName, rowPrefix } from './keys.ts';

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

export function rowOf({ key, value, secret }: DbRow): RowChange {
  return rowOfName({ name: Buffer.from(rowName(key)).toString(), value, secret });
}

/** An id may itself have slashes. */
function rowOfName({ name, value, secret }: NamedRow): RowChange {
  const at = name.indexOf('/');
  return {
    table: name.slice(0, at),
    id: name.slice(at + 1),
    version: readU64(value, 0),
    bytes: value.subarray(VERSION_BYTES),
    secret,
  };
}

/**
 * All rows of a generation, in key order, about a thousand at a time: a generator that gives them
 * one by one costs several turns of the microtask queue a row. `note` sees each one first.
 */
export async function* rowSlices(
  source: Pick<Database, 'namedSlices'>,
  generation: number,
  note: (row: RowChange) => void = () => undefined,
): AsyncGenerator<readonly RowChange[], void> {
  for await (const slice of source.namedSlices(rowPrefix(generation))) {
    const rows = slice.map(rowOfName);
    for (const row of rows) note(row);
    yield rows;
  }
}
