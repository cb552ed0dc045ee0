import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Moments } from './moments.ts';

test('who waits for a moment hears of the next one, once', () => {
  const moments = new Moments();
  const heard: number[] = [];
  moments.tell('a leader begins', 1);
  moments.next('a leader begins', (raftId) => heard.push(raftId));
  moments.tell('the members change', 2);
  moments.tell('a leader begins', 3);
  moments.tell('a leader begins', 4);
  assert.deepEqual(heard, [3]);
});

test('who hears of a moment may wait for the next one', () => {
  const moments = new Moments();
  const heard: number[] = [];
  const listen = (raftId: number): void => {
    heard.push(raftId);
    moments.next('a leader begins', listen);
  };
  moments.next('a leader begins', listen);
  for (const raftId of [1, 2]) moments.tell('a leader begins', raftId);
  moments.isOver = true;
  moments.tell('a leader begins', 3);
  assert.deepEqual(heard, [1, 2]);
});
