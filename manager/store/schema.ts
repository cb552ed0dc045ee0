import {
  AnswerRow,
  Certificate,
  Cluster,
  ClusterSecrets,
  type Codec,
  EventRow,
  Image,
  ImageBlob,
  Member,
  Network,
  type NetworkAttachment,
  NetworkState,
  Node,
  NodeState,
  NodeStatus,
  NodeVolumes,
  RegistryLogin,
  RemovedMember,
  Service,
  ServiceRevision,
  ServiceState,
  Task,
  TaskStatus,
} from '../../proto/index.ts';
import type { Part, TwoLevels } from './key-index.ts';

/**
 * All tables: the row type, who writes it, its indexes. A row has one writer, so that no two parts
 * of the manager ever race for one; the store refuses a put by another (`Draft.put`). An entry lists
 * its changes in this order, and what follows from them is derived in it: networks come before what
 * has addresses on them.
 */
export interface Rows {
  cluster: Cluster;
  clusterSecrets: ClusterSecrets;
  service: Service;
  serviceRevision: ServiceRevision;
  network: Network;
  networkState: NetworkState;
  serviceState: ServiceState;
  task: Task;
  taskStatus: TaskStatus;
  node: Node;
  nodeStatus: NodeStatus;
  nodeState: NodeState;
  nodeVolumes: NodeVolumes;
  member: Member;
  removedMember: RemovedMember;
  certificate: Certificate;
  registryLogin: RegistryLogin;
  serviceLogin: RegistryLogin;
  image: Image;
  imageBlob: ImageBlob;
  event: EventRow;
  answer: AnswerRow;
}
export type TableName = keyof Rows;

/** users: control/. loop: the control loop. status: the dispatcher's status writer. */
export type Writer = 'users' | 'loop' | 'status' | 'roles' | 'ca' | 'store';

export interface TableSchema<R> {
  readonly codec: Codec<R>;
  readonly writer: Writer;
  /** Who else makes a row of this table (a joining node's rows come into being together). */
  readonly alsoPut: readonly Writer[];
  /** Who else ends one (rows go with the object that they belong to). */
  readonly alsoDelete: readonly Writer[];
  readonly secret: boolean;
  /** Name of an index -> the keys of a row in it (most often one). */
  readonly indexes: { readonly [name: string]: (row: R) => readonly string[] };
  /** Two of the indexes that a table in memory keeps as one, since the keys of one lie within the other's. */
  readonly tree?: {
    readonly groups: string;
    readonly parts: string;
    readonly levels: TwoLevels<R>;
  };
}

export const SCHEMA: { readonly [T in TableName]: TableSchema<Rows[T]> } = {
  cluster: table(Cluster, 'users'),
  clusterSecrets: table(ClusterSecrets, 'ca', { secret: true }),
  service: table(Service, 'users', {
    alsoDelete: ['loop'],
    indexes: {
      name: (row) => [row.spec?.name ?? ''],
      network: (row) => (row.spec?.task?.networks ?? []).map((network) => network.target),
    },
  }),
  serviceRevision: table(ServiceRevision, 'users', {
    alsoDelete: ['loop'],
    indexes: { service: (row) => [row.serviceId] },
  }),
  network: table(Network, 'users', {
    alsoPut: ['loop'],
    alsoDelete: ['loop'],
    indexes: { name: (row) => [row.spec?.name ?? ''] },
  }),
  networkState: table(NetworkState, 'loop'),
  serviceState: table(ServiceState, 'loop', {
    indexes: {
      port: (row) => row.ports.map((port) => `${port.protocol}/${port.published}`),
      network: (row) => networkIds(row.virtualAddresses),
    },
  }),
  task: table(Task, 'loop', {
    indexes: {
      service: (row) => [row.serviceId],
      node: (row) => [row.nodeId],
      slot: (row) => [slotKey(row)],
      network: (row) => networkIds(row.attachments),
    },
    tree: {
      groups: 'service',
      parts: 'slot',
      levels: { groupOf: (row) => row.serviceId, partOf: slotPart, split: splitSlotKey },
    },
  }),
  taskStatus: table(TaskStatus, 'status', { alsoDelete: ['loop'] }),
  node: table(Node, 'users', { alsoPut: ['ca'], indexes: { name: (row) => [row.name] } }),
  nodeStatus: table(NodeStatus, 'status', { alsoPut: ['ca'], alsoDelete: ['users'] }),
  nodeState: table(NodeState, 'loop'),
  nodeVolumes: table(NodeVolumes, 'status', {
    alsoDelete: ['users'],
    indexes: { name: (row) => row.volumes.map(({ name }) => name) },
  }),
  member: table(Member, 'roles', { indexes: { raftId: (row) => [String(row.raftId)] } }),
  removedMember: table(RemovedMember, 'roles'),
  certificate: table(Certificate, 'ca', { alsoPut: ['roles'], alsoDelete: ['users'] }),
  registryLogin: table(RegistryLogin, 'users', { secret: true }),
  serviceLogin: table(RegistryLogin, 'users', { alsoDelete: ['loop'], secret: true }),
  image: table(Image, 'users', { indexes: { blob: (row) => row.digests } }),
  imageBlob: table(ImageBlob, 'users'),
  event: table(EventRow, 'store'),
  answer: table(AnswerRow, 'store'),
};
export const TABLE_NAMES = Object.keys(SCHEMA) as readonly TableName[];

const NO_KEYS: readonly string[] = [];

/** A million tasks without a network cost no list each. */
function networkIds(attachments: readonly NetworkAttachment[]): readonly string[] {
  return attachments.length === 0 ? NO_KEYS : attachments.map(({ networkId }) => networkId);
}

/** Tasks of one slot (replicated) or of one node (global) of a service. */
export function slotKey(task: Task): string {
  return task.slot > 0 ? `${task.serviceId}/${task.slot}` : `${task.serviceId}@${task.nodeId}`;
}

function slotPart({ slot, nodeId }: Task): Part {
  return slot > 0 ? slot : nodeId;
}

/** Of what `slotKey` made. */
function splitSlotKey(key: string): readonly [serviceId: string, part: Part] {
  const at = key.search(/[/@]/);
  const rest = key.slice(at + 1);
  return [key.slice(0, at), key[at] === '/' ? Number(rest) : rest];
}

/** Key of a service's revision; sorts by number. */
export function revisionKey(serviceId: string, revision: number): string {
  return `${serviceId}/${String(revision).padStart(10, '0')}`;
}

export const CLUSTER_KEY = 'cluster';

function table<R>(
  codec: Codec<R>,
  writer: Writer,
  rest: Partial<Omit<TableSchema<R>, 'codec' | 'writer'>> = {},
): TableSchema<R> {
  const none: readonly Writer[] = [];
  return { codec, writer, alsoPut: none, alsoDelete: none, secret: false, indexes: {}, ...rest };
}
