import type { Certificate, Cluster, ClusterSecrets, Member, Node } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { RowChange } from '../replication.ts';
import { decodeRow } from '../store/apply.ts';
import type { Rows, TableName } from '../store/schema.ts';
import type { OldState } from './new-epoch.ts';

/** Tables of which all rows are looked at to make a new epoch; the others pass unseen. */
export const IDENTITY_TABLES = [
  'cluster',
  'clusterSecrets',
  'node',
  'member',
  'certificate',
  'removedMember',
] as const satisfies readonly TableName[];
type IdentityTable = (typeof IDENTITY_TABLES)[number];

/** The rows of those tables, as they are gathered and then changed. */
export class IdentityRows {
  readonly #rows = new Map<string, RowChange>();

  static has(table: string): boolean {
    return IDENTITY_TABLES.includes(table as IdentityTable);
  }

  set(change: RowChange): void {
    const key = `${change.table}/${change.id}`;
    if (change.bytes === undefined) this.#rows.delete(key);
    else this.#rows.set(key, change);
  }
  all(): readonly RowChange[] {
    return [...this.#rows.values()];
  }

  /** Throws DAMAGED when it is no cluster's state. */
  state(): OldState {
    const [cluster] = this.#of('cluster') as Cluster[];
    const [secrets] = this.#of('clusterSecrets') as ClusterSecrets[];
    if (cluster === undefined || secrets === undefined) {
      throw new SwarmError('DAMAGED', 'The state lacks the row of its cluster.', {
        advice: 'Use another backup, or the state directory of another manager.',
      });
    }
    return {
      cluster,
      secrets,
      nodes: this.#of('node') as Node[],
      members: this.#of('member') as Member[],
      certificates: this.#of('certificate') as Certificate[],
    };
  }

  #of<T extends IdentityTable>(table: T): Rows[T][] {
    return [...this.#rows.values()]
      .filter((row) => row.table === table)
      .map((row) => decodeRow(table, row.id, row.version, row.bytes!) as Rows[T]);
  }
}
