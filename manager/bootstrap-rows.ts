import {
  type Availability,
  Cluster,
  ClusterSpec,
  Liveness,
  Member,
  type NetworkDefaults,
  Node,
  NodeStatus,
  Role,
} from '../proto/index.ts';
import type { Clock } from '../shared/clock.ts';
import { DEFAULTS } from '../shared/limits.ts';
import type { Random } from '../shared/random.ts';
import { newKey, publicKeyOf } from '../shared/tls/csr.ts';
import { type Identity, makeIdentity } from '../shared/tls/identity.ts';
import { issueFor, newClusterSecrets } from './ca/secrets.ts';
import { acceptedDefaults } from './control/network-defaults.ts';
import { FIRST_INDEX } from './raft/index.ts';
import type { RowChange } from './replication.ts';
import { CLUSTER_KEY, type Rows, SCHEMA, type TableName } from './store/schema.ts';

export interface NewCluster {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly raftId: number;
  readonly nodeName: string;
  /** host:port of the control port. */
  readonly address: string;
  readonly availability: Availability;
  /** Zero fields take the default. */
  readonly spec: ClusterSpec | null;
  /** The same; it stays what it is for the life of the cluster. */
  readonly network?: NetworkDefaults | null;
}

export interface FirstState {
  readonly identity: Identity;
  readonly rows: readonly RowChange[];
}

/**
 * The state of a cluster of one: its root, its settings and its first node. Nothing is written.
 * Throws INVALID_ARGUMENT for pools that cannot be.
 */
export async function firstState(
  cluster: NewCluster,
  clock: Clock,
  random: Random,
): Promise<FirstState> {
  const wallMs = clock.wallMs();
  const spec = withDefaults(cluster.spec);
  const network = acceptedDefaults(cluster.network ?? null);
  const { clusterId, nodeId } = cluster;
  const secrets = await newClusterSecrets(clusterId, wallMs, random);
  const keyPem = await newKey();
  const subject = { nodeId, role: Role.MANAGER, clusterId };
  const issued = issueFor(secrets, subject, publicKeyOf(keyPem), spec.certExpiryMs, wallMs, random);
  const rootPem = Buffer.from(secrets.rootCertificate).toString('utf8');
  const { nodeName: name, availability } = cluster;
  const rows = [
    row(
      'cluster',
      Cluster.create({ id: CLUSTER_KEY, spec, clusterId, network, createdWallMs: wallMs }),
    ),
    row('clusterSecrets', secrets),
    row('certificate', issued.row),
    row(
      'node',
      Node.create({ id: nodeId, name, role: Role.MANAGER, availability, createdWallMs: wallMs }),
    ),
    row('nodeStatus', NodeStatus.create({ id: nodeId, liveness: Liveness.UNKNOWN })),
    row(
      'member',
      Member.create({
        id: nodeId,
        raftId: cluster.raftId,
        address: cluster.address,
        role: Role.MANAGER,
        phase: 'voter',
      }),
    ),
  ];
  return { identity: makeIdentity(issued.certificatePem, keyPem, rootPem), rows };
}

function withDefaults(spec: ClusterSpec | null): ClusterSpec {
  return ClusterSpec.create({
    taskHistoryLimit: spec?.taskHistoryLimit || DEFAULTS.taskHistoryLimit,
    nodeGraceMs: spec?.nodeGraceMs || DEFAULTS.nodeGraceMs,
    restartGraceMs: spec?.restartGraceMs || DEFAULTS.restartGraceMs,
    electionTimeoutMs: spec?.electionTimeoutMs || DEFAULTS.electionTimeoutMs,
    allowHostAccess: spec?.allowHostAccess ?? false,
    certExpiryMs: spec?.certExpiryMs || DEFAULTS.certExpiryMs,
  });
}

function row<T extends TableName>(table: T, value: Rows[T]): RowChange {
  const { codec, secret } = SCHEMA[table];
  const bytes = (codec as { encode(value: Rows[T]): Uint8Array }).encode(value);
  return { table, id: value.id, version: FIRST_INDEX, bytes, secret };
}
