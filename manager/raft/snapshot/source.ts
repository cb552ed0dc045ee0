import type { Database, DbSnapshot } from '../../database/index.ts';
import type { Snapshot } from '../core/index.ts';
import { NO_BYTES } from '../core/index.ts';
import { META } from '../storage/keys.ts';
import { type Applied, decodeJson } from '../storage/meta.ts';

/** A state of the database that is being sent, or may be. */
export interface HeldSnapshot {
  readonly applied: Applied;
  readonly rows: DbSnapshot;
  release(): void;
}

interface Held {
  readonly applied: Applied;
  readonly rows: DbSnapshot;
  users: number;
}

/**
 * Answers the core's question for a snapshot without making one: a LevelDB snapshot is taken at
 * once, and says itself for which index it stands.
 */
export class SnapshotSource {
  readonly #db: Database;
  #newest: Held | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * `pending` while the rows on disk are older than `minIndex`, the last change of members: a
   * receiver that does not find itself in a snapshot refuses it.
   */
  take(minIndex: number): Snapshot | 'pending' {
    const newest = this.#newest;
    if (newest && newest.applied.index >= minIndex) return asSnapshot(newest);
    const rows = this.#db.snapshot();
    const applied = decodeJson<Applied>(rows.getSync(META.applied), 'the applied index');
    if (applied.index === 0 || applied.index < minIndex) {
      void rows.close();
      return 'pending';
    }
    this.sweep();
    this.#newest = { applied, rows, users: 0 };
    return asSnapshot(this.#newest);
  }

  /** For the sending of a snapshot that `take` answered. To be released by the caller. */
  hold(index: number): HeldSnapshot | undefined {
    const held = this.#newest;
    if (held === undefined || held.applied.index !== index) return undefined;
    held.users++;
    return {
      applied: held.applied,
      rows: held.rows,
      release: () => {
        held.users--;
        if (held.users > 0) return;
        if (this.#newest === held) this.#newest = undefined;
        void held.rows.close();
      },
    };
  }

  /** Closes what nobody came for. */
  sweep(): void {
    const held = this.#newest;
    if (held === undefined || held.users > 0) return;
    this.#newest = undefined;
    void held.rows.close();
  }
}

function asSnapshot(held: Held): Snapshot {
  const { index, term, confState } = held.applied;
  return { index, term, confState, data: NO_BYTES };
}
