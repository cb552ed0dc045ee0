import { crc32 } from '../../../manager/database/index.ts';
import { SCHEMA, TABLE_NAMES } from '../../../manager/store/schema.ts';
import type { View } from '../../../manager/store/view.ts';
import type { Codec } from '../../../proto/index.ts';

/** What one member has in memory. */
export interface Memory {
  /** Of the member, for people. */
  readonly name: string;
  readonly epoch: number;
  readonly view: View;
}

/**
 * Whoever has applied as much has the same rows in memory: a leader keeps the rows that it drafted,
 * the others those that they read from the entries. Returns what is not so.
 */
export function differencesInMemory(memories: readonly Memory[]): string[] {
  const first = new Map<string, { readonly name: string; readonly rows: Map<string, number> }>();
  return memories.flatMap(({ name, epoch, view }) => {
    const moment = `${epoch}/${view.index}`;
    const rows = rowsOf(view);
    const other = first.get(moment);
    if (other === undefined) {
      first.set(moment, { name, rows });
      return [];
    }
    const ids = new Set([...other.rows.keys(), ...rows.keys()]);
    const odd = [...ids].filter((id) => rows.get(id) !== other.rows.get(id));
    if (odd.length === 0) return [];
    return [
      `${name}: has other rows in memory at ${view.index} than ${other.name}: ${odd.join(' ')}`,
    ];
  });
}

/** A checksum of each row, by table and id. */
function rowsOf(view: View): Map<string, number> {
  const rows = new Map<string, number>();
  for (const table of TABLE_NAMES) {
    const codec = SCHEMA[table].codec as Codec<unknown>;
    for (const row of view.table(table).all()) {
      const { id, version } = row as { readonly id: string; readonly version: number };
      rows.set(`${table}/${id}`, crc32(codec.encode(row), version));
    }
  }
  return rows;
}
