import type { Clock } from '../../shared/clock.ts';
import type { IdSource } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import type { ProposeResult, Proposer } from '../replication.ts';
import { ReplicatedStore } from './replicated-store.ts';
import type { Rows, TableName, Writer } from './schema.ts';
import type { Draft } from './view.ts';

/**
 * A store of one member without a log, for tests of what stands on the store: the real drafts,
 * groups and apply, committed at once.
 */
export class LocalStore extends ReplicatedStore {
  constructor(deps: { readonly clock: Clock; readonly ids: IdSource }) {
    const proposer = new InstantProposer();
    super({ ...deps, log: silentLog, proposer, leaderAddress: () => undefined });
    proposer.store = this;
    this.gained(1);
  }

  /** Puts rows as whoever owns their table would. */
  async put<T extends TableName>(name: T, writer: Writer, ...rows: Rows[T][]): Promise<void> {
    await this.update(
      (draft: Draft) => {
        for (const row of rows) draft.put(name, row);
      },
      { writer },
    );
  }
}

class InstantProposer implements Proposer {
  store: LocalStore | undefined;
  #index = 0;

  async propose(entry: Uint8Array, term: number): Promise<ProposeResult> {
    const index = ++this.#index;
    this.store!.apply(index, term, entry);
    this.store!.applied();
    return { kind: 'applied', index };
  }
}
