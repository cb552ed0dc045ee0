import type { TableName, Writer } from '../../../manager/store/schema.ts';
import type { AppliedEntry } from '../../../manager/store/view.ts';
import type { Observed, Verdict } from './verdict.ts';

interface Rights {
  readonly owner: Writer;
  /** Who else makes a row of it: it begins together with others. */
  readonly makes?: Writer;
  readonly changes?: Writer;
  /** Who else ends one: it goes with what it belongs to. */
  readonly ends?: Writer;
}

/**
 * Whose the rows are: wishes are the users', what follows from them the loop's, what agents say the
 * status writer's. Said here once more, apart from the schema, so that a slip there shows.
 */
const RIGHTS: { readonly [T in TableName]: Rights } = {
  cluster: { owner: 'users' },
  clusterSecrets: { owner: 'ca' },
  service: { owner: 'users', ends: 'loop' },
  serviceRevision: { owner: 'users', ends: 'loop' },
  network: { owner: 'users', makes: 'loop', ends: 'loop' },
  networkState: { owner: 'loop' },
  serviceState: { owner: 'loop' },
  task: { owner: 'loop' },
  taskStatus: { owner: 'status', ends: 'loop' },
  node: { owner: 'users', makes: 'ca' },
  nodeStatus: { owner: 'status', makes: 'ca', ends: 'users' },
  nodeState: { owner: 'loop' },
  nodeVolumes: { owner: 'status', ends: 'users' },
  member: { owner: 'roles' },
  removedMember: { owner: 'roles' },
  certificate: { owner: 'ca', changes: 'roles', ends: 'users' },
  registryLogin: { owner: 'users' },
  serviceLogin: { owner: 'users', ends: 'loop' },
  image: { owner: 'users' },
  imageBlob: { owner: 'users' },
  event: { owner: 'store' },
  answer: { owner: 'store' },
};

type Deed = 'makes' | 'changes' | 'ends';

/** One writer a row: every row of every entry was written, by whom it belongs to. */
export class RowWriters {
  readonly #verdict: Verdict;
  readonly #written = new Set<string>();

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  /** A function of `writer` does this to a row of a draft. */
  wrote(who: Observed, writer: Writer, deed: Deed, table: TableName, id: string): void {
    this.#written.add(`${table}/${id}`);
    const rights = RIGHTS[table];
    if (rights.owner !== writer && rights[deed] !== writer)
      this.#verdict.fail(`${who.name}: ${writer} ${deed} ${table} ${id}, which is not its own`);
  }

  /** An entry was applied for the first time: what is not the store's own, some function wrote. */
  applied(who: Observed, { index, changes }: AppliedEntry): void {
    for (const { table, id } of changes) {
      if (RIGHTS[table].owner !== 'store' && !this.#written.has(`${table}/${id}`))
        this.#verdict.fail(`${who.name}: entry ${index} has ${table} ${id}, which nobody wrote`);
    }
  }
}
