import type { AppliedEntry, Draft, View } from '../../manager/store/view.ts';
import { Cluster, type EventRow } from '../../proto/index.ts';

/**
 * Registers of the clients: rows of a small table that users write. A value is a list of tokens,
 * each the name of the operation that put it there.
 */
const TABLE = 'cluster';

export function readRegister(view: View | Draft, key: string): string {
  return view.table(TABLE).get(key)?.clusterId ?? 'nil';
}
export function writeRegister(draft: Draft, key: string, value: string): void {
  draft.put(TABLE, Cluster.create({ id: key, clusterId: value }));
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
