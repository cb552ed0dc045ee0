import { assert } from '../../../shared/assert.ts';
import type { Database } from '../../database/index.ts';
import type { RowChange, RowSlices } from '../../replication.ts';
import type { Message, Snapshot } from '../core/index.ts';
import { stateRange } from '../storage/keys.ts';
import { rowSlices } from '../storage/row-record.ts';

/**
 * `refused`: the core has no use for it, its rows may go. `stopped`: this member ends; whether its
 * rows are in force shows at the next start.
 */
export type InstallResult = 'installed' | 'refused' | 'stopped';

export interface SnapshotInstallerDeps {
  readonly db: Database;
  /** Gives the message to the core, which hands a snapshot it takes to the writer. */
  readonly step: (message: Message) => void;
  /** The core keeps a snapshot back until the entries that are being applied are. */
  readonly isHeld: () => boolean;
  /** Sees every row before the tables do. */
  readonly note: (row: RowChange) => void;
  /** Replaces the tables in memory. */
  readonly load: (snapshot: Snapshot, rows: RowSlices) => Promise<void>;
}

interface Installing {
  readonly index: number;
  readonly generation: number;
  isTaken: boolean;
  readonly resolve: (result: InstallResult) => void;
}

/** Follows one received snapshot through core, writer and tables. */
export class SnapshotInstaller {
  readonly #deps: SnapshotInstallerDeps;
  #current: Installing | undefined;
  #stopped = false;

  constructor(deps: SnapshotInstallerDeps) {
    this.#deps = deps;
  }

  install(message: Message, generation: number): Promise<InstallResult> {
    const index = message.snapshot?.index;
    if (this.#stopped) return Promise.resolve('stopped');
    if (index === undefined || this.#current) return Promise.resolve('refused');
    return new Promise((resolve) => {
      this.#current = { index, generation, isTaken: false, resolve };
      this.#deps.step(message);
      this.settled();
    });
  }

  /** The core has done all there was to do: what it neither took nor holds it has no use for. */
  settled(): void {
    const current = this.#current;
    if (current === undefined || current.isTaken || this.#deps.isHeld()) return;
    this.#current = undefined;
    current.resolve(this.#stopped ? 'stopped' : 'refused');
  }

  /** The writer was given a snapshot. */
  taken(): void {
    if (this.#current) this.#current.isTaken = true;
  }

  generationOf(snapshot: Snapshot): number {
    return this.#of(snapshot).generation;
  }

  /** The batch that puts the snapshot's rows in force is written. */
  async written(snapshot: Snapshot): Promise<void> {
    const current = this.#of(snapshot);
    const { db, load, note } = this.#deps;
    await load(snapshot, rowSlices(db, current.generation, note));
    this.#current = undefined;
    current.resolve('installed');
    // In slices, beside everything else; what a crash leaves of it goes at the next start.
    void db.clear(stateRange(0, current.generation), { sync: true }).catch(() => undefined);
  }

  stop(): void {
    this.#stopped = true;
    this.#current?.resolve('stopped');
  }

  #of(snapshot: Snapshot): Installing {
    assert(this.#current?.index === snapshot.index, 'a snapshot that was not received');
    return this.#current;
  }
}
