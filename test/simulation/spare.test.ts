import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canDemote, canLose } from './spare.ts';

test('a state may be lost as long as a quorum of sound ones is left', () => {
  const group = { electorates: [[1, 2, 3]], sound: new Set([1, 2, 3]) };
  assert.equal(canLose(group, 1, [1, 2, 3]), true);
  assert.equal(canLose({ ...group, sound: new Set([1, 2]) }, 1, [1, 2, 3]), false);
});

test('a state is not lost where a configuration before the newest one still needs it', () => {
  const sound = new Set([1, 2, 3]);
  assert.equal(
    canLose(
      {
        electorates: [
          [1, 2, 3],
          [1, 2],
        ],
        sound,
      },
      1,
      [1, 2, 3],
    ),
    false,
  );
});

test('a state is not lost where those who are to get a vote would be no quorum', () => {
  const group = { electorates: [[1, 2, 3]], sound: new Set([1, 2, 3]) };
  assert.equal(canLose(group, 1, [1, 2, 3, 4]), false);
});

test('a new member is not lost while it may be given a vote that the others cannot spare', () => {
  const group = { electorates: [[1, 2, 3, 4, 5]], sound: new Set([1, 2, 3, 6, 7]) };
  assert.equal(canLose(group, 6, [6, 7]), false);
  assert.equal(canLose({ ...group, sound: new Set([1, 2, 3, 4, 6, 7]) }, 6, [6, 7]), true);
});

test('nobody is demoted right after another one has lost its disk', () => {
  const group = { electorates: [[1, 2, 3]], sound: new Set([1, 2]) };
  assert.equal(canDemote(group, 1), false);
  assert.equal(canDemote({ ...group, sound: new Set([1, 2, 3]) }, 1), true);
  assert.equal(canDemote(group, 3), true, 'the lost one itself');
});

test('the last manager may be asked to go: that it stays is for the cluster to see to', () => {
  assert.equal(canDemote({ electorates: [[1]], sound: new Set([1]) }, 1), true);
});
