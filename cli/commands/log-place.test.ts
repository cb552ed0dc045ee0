import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogRecord, LogRequest, LogsRequest } from '../../proto/index.ts';
import { LogPlace } from './log-place.ts';

const record = (taskId: string, atWallMs: number, atNanos = 0): LogRecord =>
  LogRecord.create({ taskId, atWallMs, atNanos });
const place = (options: Partial<LogRequest> = {}): LogPlace =>
  new LogPlace(LogsRequest.create({ ref: 'web', options: LogRequest.create(options) }));

test('what is cut off before its first line is asked for again as it was', () => {
  const at = place({ tail: 5, sinceWallMs: 7 });
  at.cut();
  assert.deepEqual([at.request.options?.tail, at.request.options?.sinceWallMs], [5, 7]);
});

test('after a cut nothing comes twice, and nothing of any task is left out', () => {
  const at = place();
  for (const seen of [record('a', 100_000), record('b', 90_000), record('a', 100_000, 1)])
    assert.equal(at.isNew(seen), true);
  at.cut();
  assert.equal(at.request.options?.sinceWallMs, 40_000);
  const again = [
    record('a', 100_000),
    record('b', 90_000),
    record('b', 90_000, 1),
    record('a', 100_000, 1),
    record('a', 100_000, 2),
    record('c', 80_000),
  ];
  assert.deepEqual(
    again.map((each) => at.isNew(each)),
    [false, false, true, false, true, true],
  );
});

test('a clock that goes back between two lines costs none of them', () => {
  const at = place();
  assert.deepEqual([at.isNew(record('a', 100)), at.isNew(record('a', 50))], [true, true]);
});

test('who asked for the last lines alone gets none from before them after a cut', () => {
  const at = place({ tail: 1 });
  at.isNew(record('a', 100_000));
  at.cut();
  assert.equal(at.request.options?.sinceWallMs, 100_000);
});
