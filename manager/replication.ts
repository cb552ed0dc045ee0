/**
 * The contract between the store and whatever replicates it. The store knows `Proposer`, the raft
 * driver knows `StateMachine`; neither knows the other.
 */

export type ProposeResult =
  /** Committed and applied on this member. */
  | { readonly kind: 'applied'; readonly index: number }
  /** Certainly not done. */
  | {
      readonly kind: 'dropped';
      readonly reason: 'not-leader' | 'wrong-term' | 'overloaded' | 'read-only';
    }
  /** Leadership was lost while it was on its way: it may be committed or not. */
  | { readonly kind: 'unknown' };

export interface Proposer {
  /** Proposes in `term` only; never forwarded. Resolves, never rejects. */
  propose(entry: Uint8Array, term: number): Promise<ProposeResult>;
}

/** One row as it lies on disk: `bytes` is undefined for a deletion. `version` is the raft index. */
export interface RowChange {
  readonly table: string;
  readonly id: string;
  readonly version: number;
  readonly bytes: Uint8Array | undefined;
  /** The row holds keys, tokens or secrets: it is encrypted at rest. */
  readonly secret: boolean;
}

/** All rows of a state, in the order of tables and ids, some at a time. */
export type RowSlices = AsyncIterable<readonly RowChange[]>;

export interface StateMachine {
  /**
   * Applies a committed entry to the tables in memory and returns what must be on disk with it.
   * Synchronous, deterministic, cannot fail: a throw stops the process. Called once for each index,
   * in order; entries without data (a leader's first one) are not passed on.
   */
  apply(index: number, term: number, entry: Uint8Array): readonly RowChange[];
  /** Called after the changes of `apply` up to `index` were handed to the database. */
  applied(index: number, term: number): void;
  /**
   * Replaces all tables by what `rows` yields (at start, after a snapshot), in slices, beside the
   * old tables; swaps at the end.
   */
  load(index: number, term: number, rows: RowSlices): Promise<void>;
  /** A row as it is in the tables now, to be written anew where the disk has lost it. */
  stored(table: string, id: string): RowChange | undefined;
}

/** What leader-scoped parts are told. `term` fences everything they do. */
export interface LeadershipListener {
  /** Everything up to the own term's first entry is applied here. */
  gained(term: number): void;
  lost(): void;
}
