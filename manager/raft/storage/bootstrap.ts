import { dirname, join } from 'node:path';
import { SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import {
  createDataKeys,
  DATABASE_FILES,
  type DbOp,
  type Disk,
  type Engine,
  type OpenEngine,
  Sealer,
} from '../../database/index.ts';
import type { RowChange } from '../../replication.ts';
import { type ConfState, EMPTY_CONF_STATE } from '../core/index.ts';
import { META } from './keys.ts';
import {
  encodeHard,
  encodeJson,
  type Identity,
  type PeerRecord,
  type PeerRecords,
} from './meta.ts';
import { rowOp } from './row-record.ts';
import { VoteFile } from './vote-file.ts';

export interface BootstrapDeps {
  readonly disk: Disk;
  readonly random: Random;
  readonly openEngine: OpenEngine;
}

/** Who the new member is. `raftId`: from `newRaftId`, never used before. */
export interface NewMember {
  readonly clusterId: string;
  readonly epoch: number;
  readonly nodeId: string;
  readonly raftId: number;
}

/** Raft index and term of the rows that `init` brings: as if a first entry had written them. */
export const FIRST_INDEX = 1;
const FIRST_TERM = 1;
const FIRST_GENERATION = 1;

/**
 * Makes the state of a cluster's first manager in `directory`: it is the only voter, and `rows`
 * (with version FIRST_INDEX) are its state. Made in `directory`.new and renamed: after a kill there
 * is nothing or everything. Rejects with STATE_DIR when `directory` exists.
 */
export async function createFirstMember(
  directory: string,
  member: NewMember & { readonly address: string },
  rows: readonly RowChange[],
  deps: BootstrapDeps,
): Promise<void> {
  const confState: ConfState = { ...EMPTY_CONF_STATE, voters: [member.raftId] };
  const self = { raftId: member.raftId, nodeId: member.nodeId, address: member.address };
  const position = { index: FIRST_INDEX, term: FIRST_TERM };
  const peers = { peers: [self], removed: [] };
  await create(directory, member, { ...position, confState, rows: [rows], peers }, deps);
}

/**
 * Like `createFirstMember`, for the rows of a backup, which come in slices and continue another log
 * at `position`. When `rows` throws, there is no state.
 */
export async function createRestoredMember(
  directory: string,
  member: NewMember & { readonly address: string },
  rows: AsyncIterable<readonly RowChange[]>,
  position: { readonly index: number; readonly term: number },
  deps: BootstrapDeps,
): Promise<void> {
  const confState: ConfState = { ...EMPTY_CONF_STATE, voters: [member.raftId] };
  const self = { raftId: member.raftId, nodeId: member.nodeId, address: member.address };
  const peers = { peers: [self], removed: [] };
  await create(directory, member, { ...position, confState, rows, peers }, deps);
}

/**
 * Makes the empty state of a manager that will join: no log, no vote, a raft id of its own. `peers`
 * are the managers known now, to be dialled before the first entry arrives.
 */
export async function createJoiningMember(
  directory: string,
  member: NewMember,
  peers: readonly PeerRecord[],
  deps: BootstrapDeps,
): Promise<void> {
  const nothing = { index: 0, term: 0, confState: EMPTY_CONF_STATE, rows: [] };
  await create(directory, member, { ...nothing, peers: { peers, removed: [] } }, deps);
}

/**
 * Removes a manager's state: after a demotion, or before a damaged one joins anew. Also what is left
 * of one that was being made or removed when the process was killed.
 */
export async function wipeMember(directory: string, disk: Disk): Promise<void> {
  await disk.remove(`${directory}.new`);
  await disk.remove(`${directory}.old`);
  if (!(await disk.exists(directory))) return;
  // Renamed first: a half-removed state must never be taken for a state.
  await disk.rename(directory, `${directory}.old`);
  await disk.syncDirectory(dirname(directory));
  await disk.remove(`${directory}.old`);
}

interface Start {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly rows: Iterable<readonly RowChange[]> | AsyncIterable<readonly RowChange[]>;
  readonly peers: PeerRecords;
}

async function create(
  directory: string,
  member: NewMember,
  start: Start,
  deps: BootstrapDeps,
): Promise<void> {
  const { disk } = deps;
  if (await disk.exists(directory)) {
    throw new SwarmError('STATE_DIR', `there is a manager's state already: ${directory}`);
  }
  const fresh = `${directory}.new`;
  await disk.remove(fresh);
  await disk.makeDirectory(fresh);
  const keys = await createDataKeys(join(fresh, DATABASE_FILES.dataKey), disk, deps.random);
  const { index, term } = start;
  const vote = await VoteFile.create(fresh, disk, { term, vote: 0, durableIndex: index });
  const engine = await deps.openEngine(join(fresh, DATABASE_FILES.database));
  const sealer = new Sealer(keys, deps.random);
  try {
    for await (const slice of start.rows) {
      await write(
        engine,
        sealer,
        slice.map((change) => rowOp(FIRST_GENERATION, change)),
      );
    }
    await write(engine, sealer, metaOps(member, start, vote.sequence));
  } finally {
    await engine.close();
  }
  await disk.syncDirectory(fresh);
  await disk.rename(fresh, directory);
  await disk.syncDirectory(dirname(directory));
}

async function write(engine: Engine, sealer: Sealer, ops: readonly DbOp[]): Promise<void> {
  const sealed = ops.map(({ key, value, secret }) => {
    return { key, value: value && sealer.seal(key, value, secret) };
  });
  await engine.write(sealed, true);
}

function metaOps(member: NewMember, start: Start, voteSequence: number): DbOp[] {
  const { clusterId, epoch, nodeId, raftId } = member;
  const { index, term, confState } = start;
  const identity: Identity = { clusterId, epoch, nodeId, raftId, format: 1 };
  const hard = { term, vote: 0, commit: index, lastIndex: index, voteSequence };
  const values: [Uint8Array, Uint8Array][] = [
    [META.identity, encodeJson(identity)],
    [META.hardState, encodeHard(hard)],
    [META.boundary, encodeJson({ index, term, chain: 0 })],
    [META.applied, encodeJson({ index, term, generation: FIRST_GENERATION, confState })],
    [META.peers, encodeJson(start.peers)],
  ];
  return values.map(([key, value]) => ({ key, value, secret: false }));
}
