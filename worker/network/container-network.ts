import type { NetworkAttachment, PortBinding } from '../../proto/index.ts';

export type Attachment = Pick<NetworkAttachment, 'networkId' | 'address' | 'address6' | 'aliases'>;

/** Where one container is in the network of its node. */
export interface LocalEndpoint {
  readonly taskId: string;
  /** Counts the containers of the node: names its devices, and its address where it has no network. */
  readonly index: number;
  /** Task port → port in the container. */
  readonly ports: readonly PortBinding[];
  /** Its addresses on networks, the first with the default route; none: only the node itself sees it. */
  readonly attachments: readonly Attachment[];
  /** Names are asked for at 127.0.0.11 and answered by the node. */
  readonly names: boolean;
  /** Resolvers to ask instead of the host's for names that no network knows. */
  readonly dns: readonly string[];
}

/** What a container runtime sees of the node's network. All methods are repeatable. */
export interface ContainerNetwork {
  /** Makes it ready, or takes up what is there. Throws RuntimeError UNSUPPORTED. */
  open(): Promise<void>;
  /** Where the node reaches task ports; empty while it is not open. */
  readonly address: string;
  /** The path of a container's network namespace. */
  namespacePath(taskId: string): string;
  /** The address that stands in the container's own /etc/hosts. */
  containerAddress(endpoint: Pick<LocalEndpoint, 'index' | 'attachments'>): string;
  /** Resolves when the container's namespace is there and traffic flows. */
  attach(endpoint: LocalEndpoint): Promise<void>;
  /** One that an earlier daemon attached: kept, and repaired where it is broken. */
  adopt(endpoint: LocalEndpoint): void;
  /** Connections of a container that has ended whose last bytes nobody has confirmed yet. */
  unconfirmed(taskId: string): Promise<number>;
  detach(taskId: string): Promise<void>;
  /** Task ids that have a network namespace here. */
  attached(): readonly string[];
  /** Takes everything of this node's away; the containers are gone before. */
  destroy(): Promise<void>;
}
