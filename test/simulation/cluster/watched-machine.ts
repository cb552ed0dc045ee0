import type { RowChange, StateMachine } from '../../../manager/replication.ts';
import type { ReplicatedStore } from '../../../manager/store/replicated-store.ts';
import type { AppliedEntry } from '../../../manager/store/view.ts';
import type { Checker } from '../check/checker.ts';
import { checkRegisters, checkTasks } from '../check/rows.ts';
import type { ManagerProcess } from './manager-process.ts';
import { tokensOf } from './registers.ts';

/** Between driver and store: the checker sees what goes by. */
export class WatchedMachine implements StateMachine {
  readonly #process: ManagerProcess;
  readonly #store: ReplicatedStore;
  readonly #checker: Checker;
  #entry: AppliedEntry | undefined;

  constructor(process: ManagerProcess, store: ReplicatedStore, checker: Checker) {
    this.#process = process;
    this.#store = store;
    this.#checker = checker;
    store.onApplied((entry) => {
      this.#entry = entry;
    });
  }

  apply(index: number, term: number, bytes: Uint8Array): readonly RowChange[] {
    const rows = this.#store.apply(index, term, bytes);
    this.#checker.applied(this.#process, index, term, rows);
    const entry = this.#entry;
    if (entry && this.#checker.stored(this.#process, entry, tokensOf(entry))) {
      checkTasks(this.#store.view, entry, this.#checker);
      checkRegisters(entry, this.#checker);
    }
    return rows;
  }

  applied(index: number, term: number): void {
    const process = this.#process;
    if (process.appliedIndex < index) {
      this.#checker.applied(process, index, term, undefined);
      const before = process.confState;
      process.confState = process.driver.confState();
      this.#checker.configured(process, before);
    }
    this.#store.applied();
  }

  stored(table: string, id: string): RowChange | undefined {
    return this.#store.stored(table, id);
  }

  async load(
    index: number,
    term: number,
    rows: AsyncIterable<readonly RowChange[]>,
  ): Promise<void> {
    const loaded: RowChange[] = [];
    const noting = async function* (): AsyncGenerator<readonly RowChange[], void> {
      for await (const slice of rows) {
        loaded.push(...slice);
        yield slice;
      }
    };
    await this.#store.load(index, term, noting());
    this.#checker.loaded(this.#process, index, loaded);
    if (!this.#process.isReady) return;
    this.#process.machineOf.world.counters.count('snapshot installed');
    this.#checker.moments.tell('a snapshot is installed', this.#process.raftId);
    this.#process.confState = this.#process.driver.confState();
  }
}
