import { AnswerRow, type EventRow } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { GroupDraft } from './draft.ts';
import type { Tables } from './tables.ts';
import type { AppliedEntry } from './view.ts';

/** At most this many old rows go with one entry. */
const TRIM_PER_ENTRY = 64;

/**
 * What the store itself keeps and lets go: answers to request ids for 10 minutes, events up to a
 * number of bytes. The leader decides and puts the deletions into the entry; the order of age is
 * derived here, by apply, and nowhere else.
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

  /** Adds the deletions that are due to a group that is written anyway. */
  trim(draft: GroupDraft): void {
    let left = TRIM_PER_ENTRY;
    for (const [id, atMs] of this.#answers) {
      if (left-- === 0 || draft.timeMs - atMs < LIMITS.answerKeepMs) break;
      draft.deleteOwn('answer', id);
    }
    let over = this.#eventBytes - LIMITS.eventBytesMax;
    left = TRIM_PER_ENTRY;
    for (const [id, bytes] of this.#events) {
      if (left-- === 0 || over <= 0) break;
      draft.deleteOwn('event', id);
      over -= bytes;
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

  reload(tables: Tables): void {
    this.#answers.clear();
    this.#events.clear();
    this.#eventBytes = 0;
    const answers = [...tables.table('answer').all()].sort((a, b) => a.atMs - b.atMs);
    for (const row of answers) this.#answers.set(row.id, row.atMs);
    const events = [...tables.table('event').all()].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const row of events) this.#keepEvent(row.id, row);
  }

  #keepEvent(id: string, row: EventRow): void {
    let bytes = 64;
    for (const event of row.events) bytes += 64 + event.name.length + event.message.length;
    this.#events.set(id, bytes);
    this.#eventBytes += bytes;
  }
}
