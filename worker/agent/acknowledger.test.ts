import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Acknowledger } from './acknowledger.ts';

describe('acknowledger', () => {
  it('waits for the network, then names the newest index that it stands for', () => {
    const told: number[] = [];
    const acknowledger = new Acknowledger((index) => told.push(index));
    acknowledger.pending(10);
    acknowledger.passed(11);
    assert.deepEqual(told, []);
    acknowledger.applied(10);
    assert.deepEqual(told, [11]);
    acknowledger.passed(12);
    assert.deepEqual(told, [11, 12]);
  });
  it('names only what is in effect while newer rows are pending', () => {
    const told: number[] = [];
    const acknowledger = new Acknowledger((index) => told.push(index));
    acknowledger.pending(10);
    acknowledger.pending(20);
    acknowledger.applied(10);
    assert.deepEqual(told, [10]);
  });
  it('tells a new leader again', () => {
    const told: number[] = [];
    const acknowledger = new Acknowledger((index) => told.push(index));
    acknowledger.passed(5);
    acknowledger.passed(5);
    acknowledger.tellAgain();
    assert.deepEqual(told, [5, 5]);
  });
});
