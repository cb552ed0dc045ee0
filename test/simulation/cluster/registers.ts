import type { AppliedEntry, Draft, View } from '../../../manager/store/view.ts';
import { Cluster, type EventRow } from '../../../proto/index.ts';

/**
 * Registers of the clients: rows of a small table that users write. A value is a list of tokens,
 * each the name of the operation that put it there.
 */
const TABLE = 'cluster';
export const REGISTERS = ['r0', 'r1', 'r2', 'r3'] as const;
export const NEVER_WRITTEN = 'nil';
/** Field 2046, length-delimited: only the newer release knows it. */
const MARK_TAG = Uint8Array.of(0xf2, 0x7f);

export function readRegister(view: View | Draft, key: string): string {
  return view.table(TABLE).get(key)?.clusterId ?? NEVER_WRITTEN;
}

/** A newer release marks the row with the token of the operation in a field of its own. */
export function writeRegister(draft: Draft, key: string, token: string, isNewer: boolean): void {
  const row = Cluster.create({ id: key, clusterId: token });
  draft.put(TABLE, isNewer ? marked(row, token) : row);
}
export function appendToRegister(draft: Draft, key: string, token: string, isNewer: boolean): void {
  const before =
    draft.table(TABLE).get(key) ?? Cluster.create({ id: key, clusterId: NEVER_WRITTEN });
  const row = Cluster.with(before, { clusterId: `${before.clusterId} ${token}` });
  draft.put(TABLE, isNewer ? marked(row, token) : row);
}

/** Says in the entry that the operation took place, also where a later one hides its value. */
export function leaveToken(draft: Draft, token: string): void {
  draft.emit({ kind: 'cluster', action: 'token', id: '', name: token, message: '' });
}

/** The operations that this entry carries out, in order. */
export function tokensOf(entry: AppliedEntry): string[] {
  const tokens: string[] = [];
  for (const { table, after } of entry.changes) {
    if (table !== 'event' || after === undefined) continue;
    for (const event of (after as EventRow).events) {
      if (event.action === 'token') tokens.push(event.name);
    }
  }
  return tokens;
}

export function lastToken(row: Cluster): string {
  return row.clusterId.slice(row.clusterId.lastIndexOf(' ') + 1);
}

/** What the newer release wrote last into the field that the older one does not know. */
export function futureMark(row: Cluster): string {
  const { $unknowns = [] } = row as { readonly $unknowns?: readonly Uint8Array[] };
  const field = $unknowns.find((bytes) => bytes[0] === MARK_TAG[0] && bytes[1] === MARK_TAG[1]);
  return field ? Buffer.from(field.subarray(MARK_TAG.length + 1)).toString() : '';
}

function marked(row: Cluster, token: string): Cluster {
  const bare = Cluster.create({ id: row.id, clusterId: row.clusterId });
  const value = Buffer.from(token);
  const field = Buffer.concat([MARK_TAG, Uint8Array.of(value.length), value]);
  return Cluster.decode(Buffer.concat([Cluster.encode(bare), field]));
}
