import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { newRaftId } from '../../shared/ids.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import {
  Database,
  type DatabaseDeps,
  type DbOp,
  type Disk,
  type OpenEngine,
} from '../database/index.ts';
import { type ConfState, EMPTY_CONF_STATE, EntryType } from '../raft/core/index.ts';
import { META, rowKeyFromName } from '../raft/storage/keys.ts';
import { encodeHard, encodeJson } from '../raft/storage/meta.ts';
import { type OpenedLog, openLog } from '../raft/storage/open-log.ts';
import { rowOf, rowOp } from '../raft/storage/row-record.ts';
import type { RowChange } from '../replication.ts';
import { applyEntry } from '../store/apply.ts';
import { Tables } from '../store/tables.ts';
import { type BackupSummary, backUp } from './backup.ts';
import { formerManagers, leap, newEpoch } from './new-epoch.ts';
import { IDENTITY_TABLES, IdentityRows } from './old-state.ts';

export interface RecoverOptions {
  /** host:port of the control port from now on. */
  readonly address: string;
  /**
   * Also entries that this manager does not know to be committed: what was acknowledged just before
   * the others were lost may be among them, and so may be what never was.
   */
  readonly withUncommitted: boolean;
  readonly backupKey: Uint8Array;
}

export interface RecoverDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly disk: Disk;
  readonly openEngine: OpenEngine;
  /** See `DatabaseDeps`. */
  readonly examine?: DatabaseDeps['examine'];
  /** Writes the backup that is taken first; nothing is changed before it resolves. */
  readonly saveBackup: (pieces: AsyncGenerator<Buffer, BackupSummary>) => Promise<void>;
}

export interface Recovered {
  readonly clusterId: string;
  readonly epoch: number;
  /** The entry whose state the new cluster begins with. */
  readonly upTo: number;
  /** Entries of the log that were left out. */
  readonly droppedEntries: number;
  readonly formerManagers: readonly string[];
}

/**
 * Makes a cluster of one of the state in `directory`, which no daemon has open: a backup first, then
 * one atomic batch, so that a crash leaves the old state or the new one. Rejects with DAMAGED,
 * STATE_DIR, or REMOVED when the cluster had removed this very node.
 */
export async function recover(
  directory: string,
  options: RecoverOptions,
  deps: RecoverDeps,
): Promise<Recovered> {
  const { clock, disk, random, log, openEngine } = deps;
  const db = await Database.open(directory, {
    clock,
    disk,
    random,
    log,
    openEngine,
    onPoison: () => undefined,
    ...(deps.examine ? { examine: deps.examine } : {}),
  });
  try {
    const opened = await openLog(directory, db, disk);
    await takeBackup(db, options.backupKey, deps);
    const recovered = await rewrite(db, opened, options, deps);
    await db.passed();
    return recovered;
  } finally {
    await db.close();
  }
}

async function takeBackup(db: Database, key: Uint8Array, deps: RecoverDeps): Promise<void> {
  const snapshot = db.snapshot();
  try {
    await deps.saveBackup(backUp(snapshot, key, deps.clock.wallMs(), deps.random));
  } finally {
    await snapshot.close();
  }
}

async function rewrite(
  db: Database,
  opened: OpenedLog,
  options: RecoverOptions,
  deps: RecoverDeps,
): Promise<Recovered> {
  const { identity, applied, hardState, votes, entries } = opened;
  const tail = tailRows(opened, options.withUncommitted);
  const rows = await identityRows(db, opened, tail.rows);
  const old = rows.state();
  const { nodeId, clusterId } = identity;
  if (!old.certificates.some((row) => row.id === nodeId)) throw removedSelf();
  const last = entries.at(-1)?.index ?? opened.boundary.index;
  const terms = [hardState.term, votes.newest.term, opened.boundary.term];
  const wallMs = deps.clock.wallMs();
  const before = { epoch: Math.max(identity.epoch, old.secrets.epoch), index: last };
  const next = leap({ ...before, term: Math.max(...terms) }, wallMs);
  const survivor = { nodeId, raftId: newRaftId(deps.random), address: options.address };
  const at = { wallMs, what: 'recovered from the state of one manager' };
  const changes = [...tail.rows, ...newEpoch(old, survivor, next, at, deps.random)];
  // The vote file goes first: without the batch it only means that a higher term was seen.
  const { durableIndex } = votes.newest;
  const vote = await votes.write({ term: next.term, vote: 0, durableIndex });
  const confState: ConfState = { ...EMPTY_CONF_STATE, voters: [survivor.raftId] };
  const { generation } = applied;
  const { index, term, epoch } = next;
  const hard = { term, vote: 0, commit: index, lastIndex: index, voteSequence: vote.sequence };
  const values: [Uint8Array, Uint8Array][] = [
    [META.identity, encodeJson({ ...identity, epoch, raftId: survivor.raftId })],
    [META.hardState, encodeHard(hard)],
    // Everything in the log is below the new boundary: the next start clears it.
    [META.boundary, encodeJson({ index, term, chain: 0 })],
    [META.applied, encodeJson({ index, term, generation, confState })],
    [META.peers, encodeJson({ peers: [survivor], removed: [] })],
  ];
  const ops: DbOp[] = changes.map((change) => rowOp(generation, change));
  for (const [key, value] of values) ops.push({ key, value, secret: false });
  await db.write(ops, { sync: true });
  const { upTo } = tail;
  const droppedEntries = last - upTo;
  return { clusterId, epoch, upTo, droppedEntries, formerManagers: formerManagers(old, nodeId) };
}

/** Rows of what is committed (or in the log at all) and not yet among the rows on disk. */
function tailRows(
  { entries, applied, hardState }: OpenedLog,
  withUncommitted: boolean,
): { readonly rows: RowChange[]; readonly upTo: number } {
  const last = entries.at(-1)?.index ?? applied.index;
  const upTo = Math.max(applied.index, withUncommitted ? last : Math.min(hardState.commit, last));
  const newest = new Map<string, RowChange>();
  for (const { index, term, type, data } of entries) {
    if (index <= applied.index || index > upTo) continue;
    if (type !== EntryType.Normal || data.length === 0) continue;
    for (const row of applyEntry(new Tables(), index, term, data).rows) {
      newest.set(`${row.table}/${row.id}`, row);
    }
  }
  return { rows: [...newest.values()], upTo };
}

async function identityRows(
  db: Database,
  { applied }: OpenedLog,
  tail: readonly RowChange[],
): Promise<IdentityRows> {
  const rows = new IdentityRows();
  const name = (text: string) => rowKeyFromName(applied.generation, Buffer.from(text));
  for (const table of IDENTITY_TABLES) {
    // '0' comes right after '/'.
    const range = { gte: name(`${table}/`), lt: name(`${table}0`) };
    for await (const row of db.iterate(range)) rows.set(rowOf(row));
  }
  for (const row of tail) if (IdentityRows.has(row.table)) rows.set(row);
  return rows;
}

function removedSelf(): SwarmError {
  return new SwarmError(
    'REMOVED',
    'This node was removed from the cluster before the others were lost.',
    {
      advice: 'Recover from the state directory of another manager, or restore a backup.',
    },
  );
}
