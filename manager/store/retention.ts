import { AnswerRow, type EventRow } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { inPieces } from '../../shared/slices.ts';
import type { GroupDraft } from './draft.ts';
import type { Tables } from './tables.ts';
import type { AppliedEntry } from './view.ts';

/** So many more old rows than new answers may go with one entry. */
const TRIM_PER_ENTRY = 64;

/**
 * What the store itself keeps and lets go: answers to request ids for 10 minutes (less where they are
 * too many), events up to a number of bytes. The leader decides and puts the deletions into the
 * entry; the order of age is derived here, by apply, and nowhere else.
 */
export class Retention {
  /** Keys in order of age. Invariant: exactly the rows of the tables `answer` and `event`. */
  readonly #answers = new Map<string, number>();
  readonly #events = new Map<string, number>();
  #eventBytes = 0;

  /** Stores the value of a function as the answer to its request id, in the same savepoint. */
  answer(draft: GroupDraft, requestId: string, value: unknown): void {
    const text = value === undefined ? '' : JSON.stringify(value);
    draft.putOwn(
      'answer',
      AnswerRow.create({ id: requestId, answer: Buffer.from(text), atMs: draft.timeMs }),
    );
  }

  /**
   * Adds the deletions that are due to a group that is written anyway. `requests`: at most so many
   * answers are new in it; as many may go, or a flood of requests would let them grow without end.
   */
  trim(draft: GroupDraft, requests: number): void {
    let over = this.#answers.size - LIMITS.answersMax;
    let left = TRIM_PER_ENTRY + requests;
    for (const [id, atMs] of this.#answers) {
      const keepMs = over > 0 ? LIMITS.answerKeepMinMs : LIMITS.answerKeepMs;
      if (left-- === 0 || draft.timeMs - atMs < keepMs) break;
      draft.deleteOwn('answer', id);
      over--;
    }
    let overBytes = this.#eventBytes - LIMITS.eventBytesMax;
    left = TRIM_PER_ENTRY;
    for (const [id, bytes] of this.#events) {
      if (left-- === 0 || overBytes <= 0) break;
      draft.deleteOwn('event', id);
      overBytes -= bytes;
    }
  }

  observe(entry: AppliedEntry): void {
    for (const { table, id, after } of entry.changes) {
      if (table === 'answer') {
        this.#answers.delete(id);
        if (after !== undefined) this.#answers.set(id, (after as AnswerRow).atMs);
      } else if (table === 'event') {
        this.#eventBytes -= this.#events.get(id) ?? 0;
        this.#events.delete(id);
        if (after !== undefined) this.#keepEvent(id, after as EventRow);
      }
    }
  }

  /**
   * Of a whole state, in pieces; for a new one only. Answers are in order to the second: to sort
   * hundreds of thousands of them takes too long at a stretch. Events were loaded in order of keys.
   */
  *take(tables: Tables): Generator<void, void> {
    const bySecond = new Map<number, AnswerRow[]>();
    yield* inPieces(tables.table('answer').all(), (row) => {
      const second = Math.floor(row.atMs / 1_000);
      const rows = bySecond.get(second);
      if (rows === undefined) bySecond.set(second, [row]);
      else rows.push(row);
    });
    for (const second of [...bySecond.keys()].sort((a, b) => a - b)) {
      yield* inPieces(bySecond.get(second)!, (row) => this.#answers.set(row.id, row.atMs));
    }
    yield* inPieces(tables.table('event').all(), (row) => this.#keepEvent(row.id, row));
  }

  #keepEvent(id: string, row: EventRow): void {
    let bytes = 64;
    for (const event of row.events) bytes += 64 + event.name.length + event.message.length;
    this.#events.set(id, bytes);
    this.#eventBytes += bytes;
  }
}
