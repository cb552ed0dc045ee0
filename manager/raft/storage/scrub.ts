import type { Clock } from '../../../shared/clock.ts';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Log } from '../../../shared/log.ts';
import type { Database } from '../../database/index.ts';
import type { RowChange } from '../../replication.ts';
import { rowNameText } from './keys.ts';

/** Values that are looked at together, and the rest between two such looks. */
const SLICE_VALUES = 1_000;
const REST_MS = 1_000;

export interface ScrubDeps {
  readonly clock: Clock;
  readonly db: Pick<Database, 'verify'>;
  readonly log: Log;
  /** Generation of the rows in force. */
  readonly generation: () => number;
  /** A row as the tables in memory have it; undefined: they do not. */
  readonly row: (table: string, id: string) => RowChange | undefined;
  /** Writes a row anew, as it is. */
  readonly rewrite: (change: RowChange) => void;
  /** Nobody else has a copy of the state. */
  readonly isAlone: () => boolean;
  /** What is damaged is nothing that memory has: the member must end, and joins anew. */
  readonly failed: (error: SwarmError) => void;
}

/**
 * Disks rot where nobody looks: everything is read once at the start, and from then on once a day, a
 * little at a time. A damaged row is written anew from the tables in memory, which were whole when
 * they were loaded.
 */
export class Scrub {
  readonly #deps: ScrubDeps;
  #after: Uint8Array = new Uint8Array();
  #dueMs: number;
  #isReading = false;

  constructor(deps: ScrubDeps) {
    this.#deps = deps;
    this.#dueMs = deps.clock.monotonicMs() + LIMITS.scrubEveryMs;
  }

  /** To be called now and then: reads the next values when it is time to. Never rejects. */
  async tick(): Promise<void> {
    if (this.#isReading || this.#deps.clock.monotonicMs() < this.#dueMs) return;
    this.#isReading = true;
    await this.#read();
    this.#isReading = false;
  }

  async #read(): Promise<void> {
    const { clock, db } = this.#deps;
    try {
      const { last, broken } = await db.verify(this.#after, SLICE_VALUES);
      for (const { key, error } of broken) this.#repair(key, error);
      this.#after = last ?? new Uint8Array();
      this.#dueMs = clock.monotonicMs() + (last === undefined ? LIMITS.scrubEveryMs : REST_MS);
    } catch (error) {
      this.#dueMs = clock.monotonicMs() + LIMITS.scrubEveryMs;
      const text = `the state of this manager cannot be read: ${messageOf(error)}`;
      this.#lost(new SwarmError('DAMAGED', text, { cause: error }));
    }
  }

  /** A manager without others is worth more while it runs: it would not start again. */
  #lost(error: SwarmError): void {
    const { failed, isAlone, log } = this.#deps;
    if (!isAlone()) failed(error);
    else log.error({ reason: error.message }, 'the state of the only manager is damaged');
  }

  #repair(key: Uint8Array, error: SwarmError): void {
    const { generation, row, rewrite, log } = this.#deps;
    const name = rowNameText(key, generation());
    // Rows of a generation that is not in force are about to go.
    if (name === 'other') return;
    const known = name && row(name.table, name.id);
    if (!known) {
      this.#lost(error);
      return;
    }
    log.error({ reason: error.message }, 'a stored row was damaged: it is written anew');
    rewrite(known);
  }
}
