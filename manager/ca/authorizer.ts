import type { Role } from '../../proto/index.ts';
import type { Authorizer } from '../../shared/rpc/rules.ts';
import type { Store } from '../store/view.ts';

/** Who may call, by the certificate rows: a node without one is not of this cluster any more. */
export class StoreAuthorizer implements Authorizer {
  readonly #store: Store;
  readonly #leads: () => boolean;

  /** `leads`: only a leader knows that a row is gone; another may just not have it yet. */
  constructor(store: Store, leads: () => boolean) {
    this.#store = store;
    this.#leads = leads;
  }
  nodeRole(nodeId: string): Role | undefined | 'removed' {
    const row = this.#store.view.table('certificate').get(nodeId);
    return row?.role ?? (this.#leads() ? 'removed' : undefined);
  }
}
