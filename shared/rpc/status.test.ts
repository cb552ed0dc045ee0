import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import { errorOf } from './status.ts';

const failure = { address: 'm1:2377', sent: true };
const codeOf = (details: string): string =>
  errorOf({ code: Code.UNAVAILABLE, details }, failure).code;

test('a connection that ends under a call leaves open whether it was done', () => {
  for (const details of [
    'read ECONNRESET',
    'read ETIMEDOUT',
    'read EHOSTUNREACH',
    'write EPIPE',
    'Connection dropped',
  ])
    assert.equal(codeOf(details), 'MAYBE_DONE', details);
});

test('a call that never had a connection was certainly not done', () => {
  for (const cause of ['connect ECONNREFUSED', 'connect ETIMEDOUT', 'connect EHOSTUNREACH'])
    assert.equal(
      codeOf(`No connection established. Last error: Error: ${cause}. Resolution note: `),
      'UNREACHABLE',
      cause,
    );
  assert.equal(codeOf('Stream refused by server'), 'UNREACHABLE');
});

test('a deadline that passed leaves it open, unless the call had no connection by then', () => {
  const at = (details: string): string =>
    errorOf({ code: Code.DEADLINE_EXCEEDED, details }, failure).code;
  // What a server sends whose own timer was the first to fire.
  assert.equal(at('Deadline exceeded'), 'DEADLINE');
  assert.equal(
    at('Deadline exceeded after 3.000s,LB pick: 0.001s,remote_addr=m1:2377'),
    'DEADLINE',
  );
  assert.equal(at('Deadline exceeded after 3.000s,previous attempts: 1,LB pick: 0.1s'), 'DEADLINE');
  assert.equal(at('Deadline exceeded after 3.000s,Waiting for LB pick'), 'UNREACHABLE');
});
