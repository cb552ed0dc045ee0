import type { ListenFailure, LoadBalanced, Protocol } from '../../proto/index.ts';

/** The load-balancing rows of one raft index: everything that a node's network is built from. */
export interface NetworkRows {
  readonly index: number;
  readonly services: readonly LoadBalanced[];
  /** Node id -> address, for task ports whose row names no host of its own. */
  readonly nodeHosts?: Readonly<Record<string, string>>;
}

/** A task port of a container of this node, and where the container answers. */
export interface TaskPort {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  readonly dialHost: string;
  readonly dialPort: number;
}

/** What the agent sees of the node's network, whatever its tier. */
export interface Network {
  readonly tier: 'proxy' | 'overlay';
  start(): Promise<void>;
  /** Published ports go on working: only this daemon's part ends. */
  stop(): Promise<void>;
  /** On `leave`: takes everything down. */
  destroy(): Promise<void>;
  /** The whole wish; what differs is changed. */
  apply(rows: NetworkRows): void;
  /**
   * Called when the rows of `index` are in effect, with the ports that could not be listened on, and
   * again with the same index when these ports change. Rows that newer ones overtook are skipped.
   */
  onApplied(fn: (index: number, failures: readonly ListenFailure[]) => void): void;
  /** Open connections through this node's part to a task of this node. */
  openConnections(taskId: string): Promise<number>;
}
