import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../../shared/random.ts';
import { BackendPool } from './backend-pool.ts';

const wish = (taskId: string, draining = false) => ({ taskId, host: 'h', port: 1, draining });

function poolOf(...taskIds: string[]): BackendPool {
  const pool = new BackendPool(new SeededRandom(1));
  pool.update(taskIds.map((taskId) => wish(taskId)));
  return pool;
}

test('connections that end at once go round in turn', () => {
  const pool = poolOf('a', 'b', 'c');
  const seen = Array.from({ length: 9 }, () => pool.pick(0)!.taskId);
  for (const taskId of ['a', 'b', 'c'])
    assert.equal(seen.filter((each) => each === taskId).length, 3);
});

test('connections that stay are spread evenly, and a new backend catches up', () => {
  const pool = poolOf('a', 'b');
  for (let i = 0; i < 100; i++) pool.pick(0)!.open++;
  pool.update([wish('a'), wish('b'), wish('c')]);
  for (let i = 0; i < 100; i++) pool.pick(0)!.open++;
  const open = pool.entries.map((entry) => entry.open);
  assert.ok(Math.max(...open) - Math.min(...open) <= 2, `spread ${open}`);
});

test('a backend whose dial failed is tried after the others for a while, longer each time', () => {
  const pool = poolOf('a', 'b');
  const bad = pool.pick(0)!;
  pool.failed(bad, 0);
  for (let i = 0; i < 4; i++) assert.notEqual(pool.pick(249)!.taskId, bad.taskId);
  assert.equal(pool.pick(249, new Set([pool.pick(249)!]))?.taskId, bad.taskId);
  pool.failed(bad, 250);
  for (let i = 0; i < 4; i++) assert.notEqual(pool.pick(749)!.taskId, bad.taskId);
  assert.ok([pool.pick(750), pool.pick(750)].some((entry) => entry?.taskId === bad.taskId));
});

test('a backend that drains is never picked', () => {
  const pool = poolOf('a');
  pool.update([wish('a', true)]);
  assert.equal(pool.pick(0), undefined);
  assert.equal(pool.hasReady(), false);
});

test('who waits is woken by the next rows, once', () => {
  const pool = poolOf();
  let woken = 0;
  pool.onChange(() => woken++);
  pool.onChange(() => woken++)();
  pool.update([wish('a')]);
  pool.update([wish('a')]);
  assert.equal(woken, 1);
});
