import type {
  Frame,
  Freshness,
  LogRecord,
  LogRequest,
  NetworkLookRequest,
  NodeNetwork,
  NodeUsage,
  RaftStatus,
  Role,
  TaskStatus,
  TaskStreamRequest,
  UsageRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import type { Consistency, Duplex } from '../../shared/rpc/rpc.ts';
import type { RegistryLookup } from '../images/registry-lookup.ts';
import type { Store, UpdateOptions, View } from '../store/view.ts';
import type { ImageDisks } from './image-copies.ts';

/**
 * The user's API: what it needs from the rest of a manager, and nothing else. It knows no gRPC, so
 * that another face (an HTTP API) can stand on the same functions.
 */
export interface ControlDeps {
  readonly store: Store;
  readonly reads: Reads;
  readonly raft: RaftInfo;
  readonly dispatcher: DispatcherInfo;
  readonly explain: Explain;
  readonly tokens: Tokens;
  readonly registries: RegistryLookup;
  readonly disks: ImageDisks;
  readonly clock: Clock;
  readonly log: Log;
  readonly selfNodeId: string;
}

export interface Reads {
  /**
   * Resolves when the local state holds everything that was acknowledged before the call (a read
   * index); rejects, or stays pending, while there is no leader with a quorum.
   */
  linearize(consistency: Consistency): Promise<Freshness>;
  /** A read that waits for this long, in milliseconds, is answered from local state. */
  leaderlessMs(): number;
  /** This manager leads, or its leader spoke to it within an election timeout. */
  hearsLeader(): boolean;
}

export interface RaftInfo {
  /** `members[].active`: it answered this manager within an election timeout. */
  status(): RaftStatus;
  /** The same of another manager; rejects when it does not answer soon. Absent: nobody is asked. */
  ask?(address: string): Promise<RaftStatus>;
  /** The leader as this manager knows it; undefined while there is none. */
  leader(): { readonly nodeId: string; readonly address: string } | undefined;
}

/** What only the leader's memory has. On other managers: nothing is known. */
export interface DispatcherInfo {
  /**
   * Records of one task in order of time; throws NO_ANSWER or DEADLINE when its node cannot be
   * asked. An abort of `signal` ends it at once, also while nothing comes: a generator that waits
   * cannot be ended from outside.
   */
  openLogs(nodeId: string, request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord>;
  /** What tasks of a node use, look by look; throws and ends as `openLogs`. */
  openUsage(nodeId: string, request: UsageRequest, signal: AbortSignal): AsyncIterable<NodeUsage>;
  /** What a node finds of its own network; throws as `openLogs`, and when `signal` aborts. */
  lookAtNetwork(
    nodeId: string,
    request: NetworkLookRequest,
    signal: AbortSignal,
  ): Promise<NodeNetwork>;
  /** Frames to and from one task of a node. Closes with what `openLogs` throws. */
  openTaskStream(nodeId: string, request: TaskStreamRequest): Duplex<Frame, Frame>;
  /** What the agent told for people only (PREPARING and the like); never committed. */
  transientStatus(taskId: string): TaskStatus | undefined;
  /** Up to which index the node's load balancing is in effect; undefined: it has no session. */
  settledIndex(nodeId: string): number | undefined;
  /** Called when a `settledIndex` may have grown. Returns what ends it. */
  onSettled(fn: () => void): () => void;
  /** True while the node has a session. */
  reachable(nodeId: string): boolean;
}

/**
 * One filter's word about one node. `code` is the filter's (resources, host-port, max-replicas, ...);
 * empty for a node that fits.
 */
export interface NodeVerdict {
  readonly nodeId: string;
  readonly fits: boolean;
  readonly code: string;
  readonly text: string;
}
/** Runs the scheduler's filters for a task on every node. */
export type Explain = (view: View, taskId: string) => readonly NodeVerdict[];

/** Join tokens: their secrets are rows of `ca/`. */
export interface Tokens {
  get(role: Role): string;
  /** Makes a new secret, once for each request id; the old token dies at once. */
  rotate(role: Role, asked: Pick<UpdateOptions, 'requestId' | 'timeoutMs'>): Promise<void>;
  /** Digest of the root certificate as it stands in the tokens. */
  rootDigest(): string;
}
