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
