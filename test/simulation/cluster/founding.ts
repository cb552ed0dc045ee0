import { FIRST_INDEX } from '../../../manager/raft/index.ts';
import { rowChange } from '../../../manager/recovery/new-epoch.ts';
import type { RowChange } from '../../../manager/replication.ts';
import { CLUSTER_KEY } from '../../../manager/store/schema.ts';
import {
  Certificate,
  Cluster,
  type ClusterSecrets,
  Liveness,
  Member,
  Node,
  NodeStatus,
  Role,
} from '../../../proto/index.ts';

export const CLUSTER_ID = 'cluster';
export const FIRST_EPOCH = 1;

/** Ids of nodes have 25 characters; certificates are made for nothing else. */
export function nodeIdOf(machine: number, restored = 0): string {
  const life = restored === 0 ? '' : `restored${restored}`;
  return `node${machine}${life}`.padEnd(25, '0');
}

export interface Founder {
  readonly nodeId: string;
  readonly raftId: number;
  readonly address: string;
}

/** The rows of a new cluster, with all its nodes as if they had joined and some been promoted. */
export function foundingRows(
  founder: Founder,
  nodes: readonly { readonly nodeId: string; readonly isManager: boolean }[],
  secrets: ClusterSecrets,
): RowChange[] {
  const { nodeId: id, raftId, address } = founder;
  const spec = { taskHistoryLimit: 2 };
  const role = Role.MANAGER;
  const rows = [
    rowChange(
      'cluster',
      Cluster.create({ id: CLUSTER_KEY, clusterId: CLUSTER_ID, spec }),
      FIRST_INDEX,
    ),
    rowChange('clusterSecrets', secrets, FIRST_INDEX),
    rowChange('member', Member.create({ id, raftId, address, role, phase: 'voter' }), FIRST_INDEX),
  ];
  for (const { nodeId, isManager } of nodes) {
    const wish = isManager ? Role.MANAGER : Role.WORKER;
    const certified = nodeId === id ? Role.MANAGER : Role.WORKER;
    rows.push(
      rowChange('node', Node.create({ id: nodeId, name: nodeId, role: wish }), FIRST_INDEX),
      rowChange('certificate', Certificate.create({ id: nodeId, role: certified }), FIRST_INDEX),
      rowChange(
        'nodeStatus',
        NodeStatus.create({ id: nodeId, liveness: Liveness.UNKNOWN }),
        FIRST_INDEX,
      ),
    );
  }
  return rows;
}
