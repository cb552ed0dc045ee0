import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SwarmError } from '../shared/errors.ts';
import { undoAfter } from './local-daemon.ts';

async function undone(error: unknown): Promise<boolean> {
  let called = false;
  await undoAfter(error, {
    undo: async () => {
      called = true;
    },
  });
  return called;
}

it('takes back what a refused step started', async () => {
  assert.equal(await undone(new SwarmError('INVALID_ARGUMENT', 'No such address.')), true);
});

it('keeps daemon and state where the step may have been done', async () => {
  assert.equal(await undone(new SwarmError('MAYBE_DONE', 'The connection was lost.')), false);
});
