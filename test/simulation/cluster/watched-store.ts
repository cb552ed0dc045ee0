import { ReplicatedStore, type StoreDeps } from '../../../manager/store/replicated-store.ts';
import type { Rows, TableName, Writer } from '../../../manager/store/schema.ts';
import type { Draft, TableView, UpdateOptions } from '../../../manager/store/view.ts';
import type { Observed } from '../check/verdict.ts';
import type { RowWriters } from '../check/writers.ts';

/** The store of production, which tells who writes which rows of its drafts. */
export class WatchedStore extends ReplicatedStore {
  readonly #who: Observed;
  readonly #writers: RowWriters;

  constructor(who: Observed, writers: RowWriters, deps: StoreDeps) {
    super(deps);
    this.#who = who;
    this.#writers = writers;
  }
  override update<R>(fn: (draft: Draft) => R, options: UpdateOptions): Promise<R> {
    const watched = (draft: Draft): R =>
      fn(new WatchedDraft(draft, this.#who, options.writer, this.#writers));
    return super.update(watched, options);
  }
}

/** A draft as one function of its group sees it. */
class WatchedDraft implements Draft {
  readonly #draft: Draft;
  readonly #who: Observed;
  readonly #writer: Writer;
  readonly #writers: RowWriters;

  constructor(draft: Draft, who: Observed, writer: Writer, writers: RowWriters) {
    this.#draft = draft;
    this.#who = who;
    this.#writer = writer;
    this.#writers = writers;
  }
  get index(): number {
    return this.#draft.index;
  }
  get timeMs(): number {
    return this.#draft.timeMs;
  }
  get wallMs(): number {
    return this.#draft.wallMs;
  }
  get bytes(): number {
    return this.#draft.bytes;
  }
  table<T extends TableName>(name: T): TableView<Rows[T]> {
    return this.#draft.table(name);
  }
  newId(): string {
    return this.#draft.newId();
  }
  put<T extends TableName>(name: T, row: Rows[T]): void {
    const deed = this.#draft.table(name).has(row.id) ? 'changes' : 'makes';
    this.#writers.wrote(this.#who, this.#writer, deed, name, row.id);
    this.#draft.put(name, row);
  }
  delete(name: TableName, id: string): void {
    this.#writers.wrote(this.#who, this.#writer, 'ends', name, id);
    this.#draft.delete(name, id);
  }
  emit(event: Parameters<Draft['emit']>[0]): void {
    this.#draft.emit(event);
  }
}
