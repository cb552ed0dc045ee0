import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKnownKey, strictConstraint, suggestKey } from './constraint.ts';
import { distance, nearest } from './nearest.ts';

test('the nearest word is the one with the fewest edits', () => {
  assert.equal(nearest('esat', ['west', 'east', 'north']), 'east');
  assert.equal(nearest('xyz', ['west', 'east']), undefined);
});

test('distance is symmetric and zero for equal words only', () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      assert.equal(distance(a, b), distance(b, a));
      assert.equal(distance(a, b) === 0, a === b);
    }),
  );
});

test('keys that were meant are found, also where their last part is free', () => {
  assert.equal(suggestKey('node.hostnam'), 'node.hostname');
  assert.equal(suggestKey('node.lables.disk'), 'node.labels.disk');
  assert.equal(suggestKey('engine.label.os'), 'engine.labels.os');
  assert.equal(suggestKey('colour'), undefined);
});

test('constraints are key, operator, value', () => {
  assert.deepEqual(strictConstraint(' node.labels.a/b != x y '), {
    text: ' node.labels.a/b != x y ',
    key: 'node.labels.a/b',
    equal: false,
    value: 'x y',
  });
  assert.equal(strictConstraint('a=b'), undefined);
  assert.equal(strictConstraint('node.role==a;b'), undefined);
  assert.ok(isKnownKey('node.labels.x') && !isKnownKey('node.labels.'));
});
