import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerRow, EventRow } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { atOnce } from '../../shared/slices.ts';
import { eventKey } from './apply.ts';
import type { GroupDraft } from './draft.ts';
import { Retention } from './retention.ts';
import { Tables } from './tables.ts';

/** What a group written at `timeMs` deletes. */
function trimmed(retention: Retention, timeMs: number, requests = 0): string[] {
  const deleted: string[] = [];
  const draft = {
    timeMs,
    deleteOwn: (table: string, id: string) => deleted.push(`${table} ${id}`),
  };
  retention.trim(draft as unknown as GroupDraft, requests);
  return deleted;
}

function of(tables: Tables): Retention {
  const retention = new Retention();
  atOnce(retention.take(tables));
  return retention;
}

test('answers of a loaded state are let go by age, in whatever order they were loaded', () => {
  const tables = new Tables();
  for (const atMs of [61_000, 1_000, 3_600_000, 31_000]) {
    const id = `request-${atMs}`;
    tables.table('answer').set(id, AnswerRow.create({ id, atMs }));
  }
  const retention = of(tables);
  assert.deepEqual(trimmed(retention, LIMITS.answerKeepMs), []);
  assert.deepEqual(trimmed(retention, LIMITS.answerKeepMs + 61_000), [
    'answer request-1000',
    'answer request-31000',
    'answer request-61000',
  ]);
});

test('as many answers go as come, so that no flood of requests lets them grow', () => {
  const tables = new Tables();
  for (let i = 0; i < 1_000; i++)
    tables.table('answer').set(`r${i}`, AnswerRow.create({ id: `r${i}` }));
  const retention = of(tables);
  assert.equal(trimmed(retention, LIMITS.answerKeepMs).length, 64);
  assert.equal(trimmed(retention, LIMITS.answerKeepMs, 500).length, 564);
});

test('too many answers are kept for as long as a request may be repeated, no longer', () => {
  const tables = new Tables();
  const over = 10;
  for (let i = 0; i < LIMITS.answersMax + over; i++) {
    tables.table('answer').set(`r${i}`, AnswerRow.create({ id: `r${i}`, atMs: 1_000 }));
  }
  const retention = of(tables);
  assert.ok(LIMITS.answerKeepMinMs > LIMITS.writeDeadlineMs);
  assert.deepEqual(trimmed(retention, LIMITS.answerKeepMinMs), []);
  const gone = trimmed(retention, LIMITS.answerKeepMinMs + 1_000, 500);
  assert.equal(gone.length, over);
  assert.equal(gone[0], 'answer r0');
});

test('the oldest events of a loaded state go as soon as all take too much room', () => {
  const tables = new Tables();
  const message = 'x'.repeat(LIMITS.eventBytesMax / 4);
  for (let index = 1; index <= 5; index++) {
    const id = eventKey(index);
    tables.table('event').set(id, EventRow.create({ id, events: [{ name: 'web', message }] }));
  }
  assert.deepEqual(trimmed(of(tables), 0), [`event ${eventKey(1)}`, `event ${eventKey(2)}`]);
});
