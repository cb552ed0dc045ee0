/** The settings of one member, and where its trace goes. */
import { assert } from '../../../shared/assert.ts';
import type { Storage } from './storage.ts';
import type { NodeId } from './types.ts';
import { NO_LIMIT, NONE } from './types.ts';

export const TraceLevel = { Debug: 0, Info: 1, Warn: 2, Error: 3 } as const;
export type TraceLevel = (typeof TraceLevel)[keyof typeof TraceLevel];

/**
 * Where trace lines go. A line below `level` is never put together, so a high level costs nothing.
 * Lines name ids, terms and indexes, never what an entry contains.
 */
export interface Trace {
  readonly level: TraceLevel | typeof NO_LIMIT;
  write(level: TraceLevel, text: string): void;
}

export const SILENT: Trace = { level: NO_LIMIT, write: () => {} };

/** `safe` asks a quorum for each round of reads; `lease` trusts clocks (dissertation 6.4). */
export type ReadOnlyMode = 'safe' | 'lease';

export interface RaftConfig {
  /** Unique for ever: an id that left must never come back with an empty log. */
  readonly id: NodeId;
  /** A follower that hears nothing for [n, 2n) ticks campaigns. Far above `heartbeatTicks`. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly storage: Storage;
  /** The index applied before this start; entries up to it do not come again. */
  readonly applied: number;
  /** A uniformly distributed integer in [0, n). The core's only source of chance. */
  readonly random: (n: number) => number;
  /** Ready carries StorageAppend and StorageApply messages; `advance` is not called. */
  readonly asyncStorageWrites: boolean;
  /** Bytes of entries in one App message; at least one entry goes in any case. */
  readonly maxSizePerMsg: number;
  /** Bytes of entries being applied at a time; at least one entry. */
  readonly maxCommittedSizePerReady: number;
  /** Bytes of payload in the leader's uncommitted tail; beyond it proposals are dropped. */
  readonly maxUncommittedSize: number;
  /** App messages with entries on their way to one follower. */
  readonly maxInflightMsgs: number;
  /** Payload bytes on their way to one follower; exceeded by at most one message. */
  readonly maxInflightBytes: number;
  /** A leader that hears no quorum for an election timeout steps down (dissertation 6.2). */
  readonly checkQuorum: boolean;
  /** Ask before disturbing the term (dissertation 9.6). Refuses while a leader lives only
   * together with `checkQuorum`: set both. */
  readonly preVote: boolean;
  /** `lease` needs `checkQuorum`; unsafe where clocks stop, for example in a suspended machine. */
  readonly readOnly: ReadOnlyMode;
  /** Reads waiting on the leader; beyond it they are dropped, the asker repeats. */
  readonly maxPendingReads: number;
  /** A follower drops proposals instead of sending them to the leader. */
  readonly disableProposalForwarding: boolean;
  /** Only for tests of what happens without the checks on configuration changes. */
  readonly disableConfChangeValidation: boolean;
  /** A leader that is removed or demoted becomes a follower when it applies that. */
  readonly stepDownOnRemoval: boolean;
  /**
   * Answers to votes say what is committed. Of an even number, all but one that is being removed are
   * no quorum: without this they cannot elect a leader while only the removed one knows that it is.
   */
  readonly votesTellCommit: boolean;
  readonly trace: Trace;
}

type Required = 'id' | 'storage' | 'random';
/** Everything but id, storage and randomness has a default; see `raftConfig`. */
export type RaftConfigInput = Pick<RaftConfig, Required> & Partial<Omit<RaftConfig, Required>>;

/** Fills in the defaults (those of production, in sizes of DESIGN section 5) and checks. */
export function raftConfig(input: RaftConfigInput): RaftConfig {
  const config: RaftConfig = {
    electionTicks: 10,
    heartbeatTicks: 2,
    applied: 0,
    asyncStorageWrites: true,
    maxSizePerMsg: 1024 * 1024,
    maxCommittedSizePerReady: 1024 * 1024,
    maxUncommittedSize: 64 * 1024 * 1024,
    maxInflightMsgs: 256,
    maxInflightBytes: 16 * 1024 * 1024,
    checkQuorum: true,
    preVote: true,
    readOnly: 'safe',
    maxPendingReads: 10_000,
    disableProposalForwarding: true,
    disableConfChangeValidation: false,
    stepDownOnRemoval: true,
    votesTellCommit: true,
    trace: SILENT,
    ...input,
  };
  validate(config);
  return config;
}

function validate(c: RaftConfig): void {
  assert(Number.isSafeInteger(c.id) && c.id > NONE, `no valid raft id: ${c.id}`);
  assert(c.heartbeatTicks > 0, 'a heartbeat takes at least one tick');
  assert(c.electionTicks > c.heartbeatTicks, 'an election timeout is longer than a heartbeat');
  assert(c.maxSizePerMsg >= 0, 'maxSizePerMsg is negative');
  assert(c.maxCommittedSizePerReady > 0, 'maxCommittedSizePerReady must let something pass');
  assert(c.maxUncommittedSize > 0, 'maxUncommittedSize must let something pass');
  assert(c.maxInflightMsgs > 0, 'maxInflightMsgs must let something pass');
  assert(c.maxInflightBytes >= c.maxSizePerMsg, 'maxInflightBytes must hold one message');
  assert(c.maxPendingReads > 0, 'maxPendingReads must let something pass');
  assert(c.readOnly === 'safe' || c.checkQuorum, 'lease reads need checkQuorum');
}
