import {
  Certificate,
  type Cluster,
  ClusterSecrets,
  EventRow,
  Member,
  Node,
  RemovedMember,
  Role,
} from '../../proto/index.ts';
import type { Random } from '../../shared/random.ts';
import { newTokenSecret } from '../ca/secrets.ts';
import type { RowChange } from '../replication.ts';
import { eventKey } from '../store/apply.ts';
import { type Rows, SCHEMA, type TableName } from '../store/schema.ts';

/** The rows that say who the cluster is. */
export interface OldState {
  readonly cluster: Cluster;
  readonly secrets: ClusterSecrets;
  readonly nodes: readonly Node[];
  readonly members: readonly Member[];
  readonly certificates: readonly Certificate[];
}

/** The one manager that goes on. */
export interface Survivor {
  readonly nodeId: string;
  /** From `newRaftId`, never used before. */
  readonly raftId: number;
  /** host:port of its control port. */
  readonly address: string;
}

/** Where the state goes on: ahead of everything that was ever said in the old epoch. */
export interface Leap {
  readonly epoch: number;
  readonly term: number;
  readonly index: number;
}

/** More than a minority that was cut off can have gone on meanwhile. */
const TERMS = 1_000;
const INDEXES = 1_000_000;

/**
 * The new epoch is the wall time where that is higher: an old backup, restored later, is ahead of an
 * earlier recovery that it knows nothing of. Versions that users hold from a lost future are not met
 * again by accident, because the index leaps too.
 */
export function leap(old: { epoch: number; term: number; index: number }, wallMs: number): Leap {
  return {
    epoch: Math.max(old.epoch + 1, wallMs),
    term: old.term + TERMS,
    index: old.index + INDEXES,
  };
}

/**
 * The changes that make a cluster of one manager of any state: it is the only member, the raft ids
 * of all before are refused for ever, former managers are workers now (as far as they come back),
 * and the join tokens are new. `what` is for the event.
 */
export function newEpoch(
  old: OldState,
  survivor: Survivor,
  { epoch, index }: Leap,
  at: { readonly wallMs: number; readonly what: string },
  random: Random,
): RowChange[] {
  const put = <T extends TableName>(table: T, row: Rows[T]) => rowChange(table, row, index);
  const changes: RowChange[] = [];
  const [workerTokenSecret, managerTokenSecret] = [newTokenSecret(random), newTokenSecret(random)];
  const tokens = { workerTokenSecret, managerTokenSecret };
  changes.push(put('clusterSecrets', ClusterSecrets.with(old.secrets, { epoch, ...tokens })));
  for (const { id, raftId } of old.members) {
    if (id !== survivor.nodeId)
      changes.push({ ...rowChange('member', Member.create({ id }), index), bytes: undefined });
    if (raftId !== 0) {
      changes.push(put('removedMember', RemovedMember.create({ id: String(raftId), nodeId: id })));
    }
  }
  changes.push(put('member', memberOf(survivor)));
  for (const node of old.nodes) {
    const role = node.id === survivor.nodeId ? Role.MANAGER : Role.WORKER;
    if (node.role !== role) changes.push(put('node', Node.with(node, { role })));
  }
  for (const row of old.certificates) {
    const role = row.id === survivor.nodeId ? Role.MANAGER : Role.WORKER;
    if (row.role !== role) changes.push(put('certificate', Certificate.with(row, { role })));
  }
  changes.push(put('event', eventOf(old.cluster.clusterId, index, at)));
  return changes;
}

function memberOf({ nodeId: id, raftId, address }: Survivor): Member {
  return Member.create({ id, raftId, address, role: Role.MANAGER, phase: 'voter' });
}

function eventOf(id: string, index: number, at: { wallMs: number; what: string }): EventRow {
  const event = { atWallMs: at.wallMs, kind: 'cluster', name: 'cluster', id, message: at.what };
  return EventRow.create({ id: eventKey(index), events: [{ ...event, action: 'recover' }] });
}

/** A row as it is written at `index`. */
export function rowChange<T extends TableName>(table: T, row: Rows[T], index: number): RowChange {
  const { codec, secret } = SCHEMA[table];
  const bytes = (codec as { encode(value: Rows[T]): Uint8Array }).encode(row);
  return { table, id: row.id, version: index, bytes, secret };
}

/** Names of the managers that are none any more. */
export function formerManagers(old: OldState, survivorId: string): string[] {
  const names = new Map(old.nodes.map((node) => [node.id, node.name]));
  return old.members
    .filter(({ id, role }) => id !== survivorId && role === Role.MANAGER)
    .map(({ id }) => names.get(id) ?? id)
    .sort();
}
