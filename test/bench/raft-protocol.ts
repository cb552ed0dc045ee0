import type { MemberChange } from '../../manager/raft/member-change.ts';
import { RaftAck, SnapshotChunk, SnapshotTrailer, StoredRow } from '../../proto/index.ts';
import type { LoadResult, Pauses } from './raft-load.ts';

/** What the bench asks of its member processes, over Node's own channel to a child. */
export interface MemberOptions {
  readonly directory: string;
  /** host:port of its raft traffic, mutual TLS. */
  readonly address: string;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootPem: string;
}

export type Command =
  | { readonly kind: 'open'; readonly options: MemberOptions }
  | { readonly kind: 'change'; readonly change: MemberChange }
  | { readonly kind: 'status' }
  | { readonly kind: 'progress'; readonly raftId: number }
  | {
      readonly kind: 'write' | 'read';
      readonly width: number;
      readonly warmMs: number;
      readonly runMs: number;
    }
  /** Answered when this member led and its first write was accepted. */
  | { readonly kind: 'firstWrite' }
  | { readonly kind: 'transfer' }
  | { readonly kind: 'fillTasks' | 'fillBytes'; readonly count: number }
  /** Watches the pauses of the event loop until `pause`, which answers the longest. */
  | { readonly kind: 'watch' | 'pause' }
  /** Microseconds of CPU that the process has used. */
  | { readonly kind: 'cpu' }
  | { readonly kind: 'stop' };

export interface MemberStatus {
  readonly isLeader: boolean;
  readonly leaderId: number;
  readonly appliedIndex: number;
  readonly rows: number;
}

export interface Replies {
  open: Pauses & {
    readonly openMs: number;
    readonly cpuMs: number;
    readonly memoryBytes: number;
  };
  change: undefined;
  status: MemberStatus;
  progress: { readonly match: number; readonly lastIndex: number } | undefined;
  write: LoadResult;
  read: LoadResult;
  firstWrite: undefined;
  transfer: undefined;
  fillTasks: undefined;
  fillBytes: undefined;
  watch: undefined;
  pause: Pauses | undefined;
  cpu: number;
  stop: undefined;
}

const put = { path: '/swarm.bench/Put', request: StoredRow, response: RaftAck } as const;
const stream = {
  path: '/swarm.bench/Stream',
  request: SnapshotChunk,
  response: SnapshotTrailer,
} as const;

/**
 * `put`: one for each call. `stream`: a message has as many puts as were asked for in one turn of
 * the event loop, each its own proposal; an answer says how many more of them, in order, are done.
 */
export const BenchService = {
  put: { ...put, requestStream: false, responseStream: false },
  stream: { ...stream, requestStream: true, responseStream: true },
} as const;

export const ROW_BYTES = 300;
/** Rows that the loads write, over and over. */
export const ROW_COUNT = 10_000;

export function rowId(n: number): string {
  return `bench${String(n % ROW_COUNT).padStart(20, '0')}`;
}
