import { DEFAULTS } from '../../shared/limits.ts';

/** An election timeout is this many ticks (randomly up to twice as many), a heartbeat two. */
export const ELECTION_TICKS = 10;
export const HEARTBEAT_TICKS = 2;

/** All durations of raft, in milliseconds; they scale with the cluster's one setting. */
export interface Timing {
  readonly electionTimeoutMs: number;
  readonly tickMs: number;
  /** A tick later than this means that the process stood still. */
  readonly pauseMs: number;
  /** Longest wait before a pre-vote after the leader's port refused a connection. */
  readonly refusedCampaignMs: number;
}

export function timing(electionTimeoutMs: number = DEFAULTS.electionTimeoutMs): Timing {
  return {
    electionTimeoutMs,
    tickMs: electionTimeoutMs / ELECTION_TICKS,
    pauseMs: electionTimeoutMs / 2,
    refusedCampaignMs: electionTimeoutMs / 5,
  };
}
