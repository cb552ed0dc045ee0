import type { Role } from '../../proto/index.ts';
import type { Authorizer } from '../../shared/rpc/rules.ts';
import type { Store } from '../store/view.ts';

/** Who may call, by the certificate rows: a node without one is not of this cluster any more. */
export class StoreAuthorizer implements Authorizer {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }
  nodeRole(nodeId: string): Role | 'removed' {
    return this.#store.view.table('certificate').get(nodeId)?.role ?? 'removed';
  }
}
