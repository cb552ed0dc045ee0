import { Role } from '../../proto/index.ts';
import type { Authorizer } from '../../shared/rpc/rules.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { Store } from '../store/view.ts';

/** How this manager stands in the raft group; the driver is one. */
export interface Standing {
  /** It leads, and has applied everything of its predecessors. */
  readonly isLeader: boolean;
  /** It leads, or hears from the leader. */
  readonly hasLeader: boolean;
  leader(): { readonly nodeId: string } | undefined;
}

/** Who may call, by the certificate rows: a node without one is not of this cluster any more. */
export class StoreAuthorizer implements Authorizer {
  readonly #store: Store;
  readonly #standing: Standing;

  constructor(store: Store, standing: Standing) {
    this.#store = store;
    this.#standing = standing;
  }
  /**
   * Only a leader knows that a row is gone: another manager may just not have it yet, and a node that
   * takes its word for it gives its state up.
   */
  nodeRole(nodeId: string): Role | undefined | 'removed' {
    const { view } = this.#store;
    // A member without any state yet: the root signed the certificate, and it must say manager.
    if (!view.table('cluster').has(CLUSTER_KEY)) return Role.MANAGER;
    const row = view.table('certificate').get(nodeId);
    return row?.role ?? (this.#standing.isLeader ? 'removed' : undefined);
  }
  /** A leader that is no manager by the rows was made one by entries that are not here yet. */
  isBehind(): boolean {
    const { hasLeader } = this.#standing;
    const leader = this.#standing.leader()?.nodeId ?? '';
    return !hasLeader || this.nodeRole(leader) !== Role.MANAGER;
  }
}
