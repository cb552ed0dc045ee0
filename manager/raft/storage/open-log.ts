import { SwarmError } from '../../../shared/errors.ts';
import type { Database, Disk } from '../../database/index.ts';
import type { Entry } from '../core/index.ts';
import { keyNumber, logRange, META, markerRange, stateRange } from './keys.ts';
import { chainOf, decodeRecord } from './log-record.ts';
import type { LogContent } from './log-store.ts';
import {
  type Applied,
  type Boundary,
  decodeHard,
  decodeJson,
  decodeMarker,
  type HardRecord,
  type Identity,
  type PeerRecords,
} from './meta.ts';
import { type Vote, VoteFile } from './vote-file.ts';

export interface OpenedLog extends LogContent {
  readonly identity: Identity;
  readonly peers: PeerRecords;
  readonly votes: VoteFile;
}

/**
 * Reads and checks what a manager has on disk. A torn tail, never acknowledged, is gone with its
 * whole batch and needs no repair. Anything that cannot come from a crash rejects with DAMAGED:
 * such a member must not vote or acknowledge, because it may have forgotten what it said.
 */
export async function openLog(directory: string, db: Database, disk: Disk): Promise<OpenedLog> {
  const votes = await VoteFile.open(directory, disk);
  if (votes === undefined) throw damaged('both vote files are missing or torn');
  const identity = decodeJson<Identity>(await db.get(META.identity), 'its identity');
  const boundary = decodeJson<Boundary>(await db.get(META.boundary), 'the log boundary');
  const applied = decodeJson<Applied>(await db.get(META.applied), 'the applied index');
  const peers = decodeJson<PeerRecords>(await db.get(META.peers), 'the list of peers');
  const hardBytes = await db.get(META.hardState);
  if (hardBytes === undefined) throw damaged('the hard state is missing');
  const hard = decodeHard(hardBytes);
  const { entries, chains } = await readEntries(db, boundary);
  const markers = await readMarkers(db, boundary, applied);
  checkEnds(hard, votes.newest, boundary, applied, entries.length);
  // The batches to come name the newest vote file: it must not be an older one than they did before.
  await votes.adopt({
    sequence: hard.voteSequence,
    term: hard.term,
    vote: hard.vote,
    durableIndex: hard.lastIndex,
  });
  return {
    identity,
    peers,
    votes,
    boundary,
    applied,
    entries,
    chains,
    markers,
    hardState: newerState(hard, votes.newest, applied),
  };
}

/** Removes what a crash left behind: covered log entries and rows of other generations. */
export async function clearLeftovers(db: Database, content: LogContent): Promise<void> {
  const { boundary, applied } = content;
  await db.clear(logRange(0, boundary.index + 1), { sync: true });
  await db.clear(markerRange(0, boundary.index + 1), { sync: true });
  await db.clear(stateRange(0, applied.generation), { sync: true });
  await db.clear(stateRange(applied.generation + 1, 2 ** 32 - 1), { sync: true });
}

async function readEntries(
  db: Database,
  boundary: Boundary,
): Promise<{ entries: Entry[]; chains: number[] }> {
  const entries: Entry[] = [];
  const chains: number[] = [];
  let expected = boundary.index + 1;
  let previous = boundary.chain;
  for await (const row of db.iterate(logRange(expected))) {
    const index = keyNumber(row.key);
    if (index !== expected) throw damaged(`log entry ${expected} is missing`);
    const { entry, chain } = decodeRecord(index, row.value);
    previous = chainOf(previous, entry);
    if (chain !== previous) throw damaged(`the chain of the log breaks at entry ${index}`);
    entries.push(entry);
    chains.push(chain);
    expected++;
  }
  return { entries, chains };
}

/** Entries from `from` on that are on disk, until they have `bytes`; none when they are compacted. */
export async function readStretch(db: Database, from: number, bytes: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  let left = bytes;
  for await (const row of db.iterate(logRange(from))) {
    const index = keyNumber(row.key);
    if (index !== from + entries.length) break;
    const { entry } = decodeRecord(index, row.value);
    entries.push(entry);
    left -= row.value.length;
    if (left <= 0) break;
  }
  return entries;
}

/** Each marker names the one before it, so none can have been lost. */
async function readMarkers(db: Database, boundary: Boundary, applied: Applied): Promise<number[]> {
  const markers: number[] = [];
  for await (const row of db.iterate(markerRange(boundary.index + 1))) {
    const previous = decodeMarker(row.value);
    const before = markers.at(-1);
    const sound = before === undefined ? previous <= boundary.index : previous === before;
    if (!sound)
      throw damaged(`a write of applied state before entry ${keyNumber(row.key)} is lost`);
    markers.push(keyNumber(row.key));
  }
  if ((markers.at(-1) ?? boundary.index) !== applied.index) {
    throw damaged('the markers of applied state do not end at the applied index');
  }
  return markers;
}

function checkEnds(
  hard: HardRecord,
  vote: Vote,
  boundary: Boundary,
  applied: Applied,
  count: number,
): void {
  const last = boundary.index + count;
  if (last !== hard.lastIndex) throw damaged(`the log ends at ${last}, not at ${hard.lastIndex}`);
  if (last < vote.durableIndex) {
    throw damaged(`the log ends at ${last}, but it was durable up to ${vote.durableIndex}`);
  }
  if (applied.index < boundary.index || applied.index > last) {
    throw damaged(`applied up to ${applied.index} with a log of ${boundary.index} to ${last}`);
  }
  if (hard.commit > last) throw damaged(`committed up to ${hard.commit}, but it ends at ${last}`);
}

/** The vote file is written before the batch, so after a crash between the two it is the newer. */
function newerState(hard: HardRecord, vote: Vote, applied: Applied): LogContent['hardState'] {
  const commit = Math.max(hard.commit, applied.index);
  const newer = vote.sequence >= hard.voteSequence ? vote : hard;
  return { term: newer.term, vote: newer.vote, commit };
}

function damaged(what: string): SwarmError {
  return new SwarmError('DAMAGED', `the state of this manager is damaged: ${what}`);
}
