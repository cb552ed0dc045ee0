import type {
  AttachedNetwork,
  ListenFailure,
  LoadBalanced,
  NetworkPeer,
  NetworkService,
  Protocol,
} from '../../proto/index.ts';

/** The rows of one raft index that a node's network is built from; one that stays is the same object. */
export interface NetworkRows {
  readonly index: number;
  readonly services: readonly LoadBalanced[];
  /** Nodes that carry overlay traffic; the networks of this node's tasks; the services on these. */
  readonly peers?: readonly NetworkPeer[];
  readonly networks?: readonly AttachedNetwork[];
  readonly networkServices?: readonly NetworkService[];
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
  /** Open connections to a task of this node, whose first process is `pid`. */
  openConnections(taskId: string, pid: number): Promise<number>;
}
