import type { AppliedEntry, Draft, View } from '../../../manager/store/view.ts';
import { Cluster, type Event, type EventRow } from '../../../proto/index.ts';

/**
 * Registers of the clients: rows of a small table that users write. A value is a list of tokens,
 * each the name of the operation that put it there.
 */
const TABLE = 'cluster';
export const REGISTERS: readonly string[] = ['r0', 'r1', 'r2', 'r3'];
export const NEVER_WRITTEN = 'nil';
const NEWER = 'by a newer release';
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
export function leaveToken(draft: Draft, token: string, isNewer: boolean): void {
  const message = isNewer ? NEWER : '';
  draft.emit({ kind: 'cluster', action: 'token', id: '', name: token, message });
}

/** The operations that this entry carries out, in order. */
export function tokensOf(entry: AppliedEntry): string[] {
  return operationsOf(entry).map(({ name }) => name);
}
/** Those that a newer release carried out. */
export function newerTokensOf(entry: AppliedEntry): ReadonlySet<string> {
  const newer = operationsOf(entry).filter(({ message }) => message === NEWER);
  return new Set(newer.map(({ name }) => name));
}
function operationsOf({ changes }: AppliedEntry): Event[] {
  return changes.flatMap(({ table, after }) => {
    if (table !== 'event' || after === undefined) return [];
    return (after as EventRow).events.filter(({ action }) => action === 'token');
  });
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
