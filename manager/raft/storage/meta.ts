import { SwarmError } from '../../../shared/errors.ts';
import type { ConfState, HardState } from '../core/index.ts';
import { putU64, readU64 } from './keys.ts';

/**
 * The few values beside log and rows. What is written with every batch is binary; what is written
 * seldom is JSON. All are protected by the seal of the database.
 */

/** Written once, when the state is made. */
export interface Identity {
  readonly clusterId: string;
  readonly epoch: number;
  readonly nodeId: string;
  readonly raftId: number;
  readonly format: 1;
}

/** In every batch, so that the last batch in LevelDB's log always has the whole of it. */
export interface HardRecord extends HardState {
  /** Index of the last log entry after this batch. */
  readonly lastIndex: number;
  /** Sequence number of the vote file that goes with term and vote. */
  readonly voteSequence: number;
}

/** The end of what was compacted, or a snapshot's position: the log begins above it. */
export interface Boundary {
  readonly index: number;
  readonly term: number;
  /** Chain checksum of the entry at `index`; the next entry continues it. */
  readonly chain: number;
}

/** What the rows of `generation` stand for. */
export interface Applied {
  readonly index: number;
  readonly term: number;
  readonly generation: number;
  readonly confState: ConfState;
}

export interface PeerRecord {
  readonly raftId: number;
  readonly nodeId: string;
  readonly address: string;
}
export interface PeerRecords {
  readonly peers: readonly PeerRecord[];
  readonly removed: readonly number[];
}

const HARD_BYTES = 40;

export function encodeHard(hard: HardRecord): Uint8Array {
  const out = Buffer.allocUnsafe(HARD_BYTES);
  putU64(out, hard.term, 0);
  putU64(out, hard.vote, 8);
  putU64(out, hard.commit, 16);
  putU64(out, hard.lastIndex, 24);
  putU64(out, hard.voteSequence, 32);
  return out;
}

export function decodeHard(bytes: Uint8Array): HardRecord {
  if (bytes.length !== HARD_BYTES) throw broken('m/hs');
  return {
    term: readU64(bytes, 0),
    vote: readU64(bytes, 8),
    commit: readU64(bytes, 16),
    lastIndex: readU64(bytes, 24),
    voteSequence: readU64(bytes, 32),
  };
}

/** A marker says which write of applied state came before it. */
export function encodeMarker(previousIndex: number): Uint8Array {
  const out = Buffer.allocUnsafe(8);
  putU64(out, previousIndex, 0);
  return out;
}
export function decodeMarker(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw broken('a/');
  return readU64(bytes, 0);
}

export function encodeJson(value: Identity | Boundary | Applied | PeerRecords): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
/** `name` is for the error. The seal was checked, so a broken one is a bug or another format. */
export function decodeJson<T>(bytes: Uint8Array | undefined, name: string): T {
  if (bytes === undefined) throw new SwarmError('DAMAGED', `the state lacks ${name}`);
  return JSON.parse(Buffer.from(bytes).toString()) as T;
}

function broken(name: string): SwarmError {
  return new SwarmError('DAMAGED', `the state has a malformed ${name}`);
}
