import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Inflights } from './inflights.ts';

test('the window is full by count', () => {
  const w = new Inflights(2, 1000);
  w.add(1, 10);
  assert(!w.full());
  w.add(2, 10);
  assert(w.full());
});

test('the window is full by bytes, exceeded by at most one message', () => {
  const w = new Inflights(10, 100);
  w.add(1, 99);
  assert(!w.full());
  w.add(2, 500);
  assert(w.full());
  w.freeUpTo(1);
  assert(w.full());
  w.freeUpTo(2);
  assert(!w.full());
});

test('sending into a window that is full by count is a broken promise', () => {
  const w = new Inflights(1, 1000);
  w.add(1, 1);
  assert.throws(() => w.add(2, 1), /full window/);
});

test('an answer frees all messages up to it, whatever was added and freed before', () => {
  const step = fc.oneof(
    fc.record({ add: fc.nat(50) }),
    fc.record({ free: fc.nat(60) }),
    fc.constant('reset' as const),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.array(step, { maxLength: 60 }),
      (size, steps) => {
        const w = new Inflights(size, 1 << 30);
        let model: { index: number; bytes: number }[] = [];
        let index = 0;
        for (const s of steps) {
          if (s === 'reset') {
            w.reset();
            model = [];
          } else if ('free' in s) {
            w.freeUpTo(s.free);
            model = model.filter((m) => m.index > s.free);
          } else if (!w.full()) {
            w.add(++index, s.add);
            model.push({ index, bytes: s.add });
          }
          assert.equal(w.count, model.length);
          assert.equal(
            w.byteCount,
            model.reduce((sum, m) => sum + m.bytes, 0),
          );
          assert.equal(w.full(), model.length === size);
        }
      },
    ),
  );
});
