import { DEFAULTS } from '../../shared/limits.ts';

/**
 * An election timeout is this many ticks (randomly up to twice as many), a heartbeat one. Every tick
 * wakes an idle process up, which costs it more than the work: hence no finer ones (ADR 10).
 */
export const ELECTION_TICKS = 4;
export const HEARTBEAT_TICKS = 1;

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
    // A standstill may begin a whole tick before the tick that shows it: half a timeout is noticed.
    pauseMs: 0.3 * electionTimeoutMs,
    refusedCampaignMs: electionTimeoutMs / 5,
  };
}
