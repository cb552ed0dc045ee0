import type { Event } from '../../proto/index.ts';
import type { Rows, TableName, Writer } from './schema.ts';

/** Rows of one table as of one moment. Rows are immutable: a change makes a new one. */
export interface TableView<R> {
  readonly size: number;
  get(id: string): R | undefined;
  has(id: string): boolean;
  /** Every row, in no promised order: sort where the order shows. */
  all(): Iterable<R>;
  /** Rows whose index `name` (see schema.ts) has `key`. */
  by(name: string, key: string): Iterable<R>;
  countBy(name: string, key: string): number;
}

/** A consistent state: the tables after the entry `index`. */
export interface View {
  readonly index: number;
  /** Cluster time: the leader's monotonic clock, continued over leaders. */
  readonly timeMs: number;
  /** Wall time of the entry by its leader's clock: for people. 0: no entry has said one yet. */
  readonly wallMs: number;
  table<T extends TableName>(name: T): TableView<Rows[T]>;
}

/**
 * A state that is being changed by one function of a group. What it reads includes what it and the
 * functions before it in the group wrote. Rows it wrote have version PENDING.
 */
export interface Draft extends View {
  newId(): string;
  /** Throws (a bug) when this draft's writer is not the table's. */
  put<T extends TableName>(name: T, row: Rows[T]): void;
  delete(name: TableName, id: string): void;
  /** Stored with the entry and shown by `swarm events`. `atWallMs` is filled in. */
  emit(event: Omit<Event, 'atWallMs' | 'attributes'> & { attributes?: Event['attributes'] }): void;
  /** Encoded bytes put by this function so far. */
  readonly bytes: number;
}

/** Equals no version that a user can hold: rows changed in the draft at hand. */
export const PENDING_VERSION = Number.MAX_SAFE_INTEGER;

export interface Change<T extends TableName = TableName> {
  readonly table: T;
  readonly id: string;
  readonly before: Rows[T] | undefined;
  readonly after: Rows[T] | undefined;
}

/** What one applied entry changed, in order. */
export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  readonly timeMs: number;
  readonly changes: readonly Change[];
}

export interface UpdateOptions {
  readonly writer: Writer;
  /**
   * Done once however often it is retried: the function's value, which must survive JSON, is stored
   * with the entry and given again to the same id. For what users ask for.
   */
  readonly requestId?: string;
  /** Waited for at most this long; then DEADLINE. */
  readonly timeoutMs?: number;
}

/** What parts of a manager see of the store. */
export interface Store {
  /** The newest applied state. It moves on with every entry: take it anew after each `await`. */
  readonly view: View;
  /** Cluster time now, by the leader's clock between entries. */
  nowMs(): number;
  /**
   * Runs `fn` on a draft in the leader's queue and resolves with its value when the group it rode in
   * is applied. `fn` is synchronous and may run more than once. Its error undoes it alone.
   * Rejects with NOT_LEADER or DROPPED (certainly not done), MAYBE_DONE, OVERLOADED, DEADLINE.
   */
  update<R>(fn: (draft: Draft) => R, options: UpdateOptions): Promise<R>;
  /** Calls back after each applied entry, before the answers of its group go out. */
  onApplied(fn: (entry: AppliedEntry) => void): () => void;
  /** Calls back after all tables were replaced (start, snapshot): forget what you derived. */
  onReload(fn: () => void): () => void;
}
