import type { Clock } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Probe } from './transport/probe.ts';

export interface RaftOptions {
  /** host:port where the other managers reach this one. */
  readonly address: string;
  readonly electionTimeoutMs?: number;
}

export interface RaftDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Makes a connection of its own with every call. */
  readonly dial: (address: string) => Client;
  readonly probe: Probe;
  /**
   * Runs the work when what was sent before is in the sockets. `setImmediate` where these are real:
   * HTTP/2 writes at the end of a turn of the event loop. `process.nextTick` when absent.
   */
  readonly afterSends?: (work: () => void) => void;
  /** A broken invariant or a failed write: the process must end, at once. */
  readonly onFatal: (error: SwarmError) => void;
  /** This raft id was removed from the cluster for ever. */
  readonly onRemoved: () => void;
}
