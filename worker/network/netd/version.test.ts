import assert from 'node:assert/strict';
import { test } from 'node:test';
import { givesWay } from './version.ts';

const at = (versionText: string, protocol = 1) => ({ versionText, protocol });

test('a netd gives way to a later release, not to an earlier one or its own', () => {
  assert.equal(givesWay(at('0.9.0'), at('0.10.0')), true);
  assert.equal(givesWay(at('0.10.0'), at('0.9.0')), false);
  assert.equal(givesWay(at('0.9.0'), at('0.9.0')), false);
});

test('a netd gives way to another build of its release', () => {
  assert.equal(givesWay(at('0.9.0+abc'), at('0.9.0+def')), true);
});

test('the protocol decides before the release', () => {
  assert.equal(givesWay(at('0.9.0', 1), at('0.8.0', 2)), true);
  assert.equal(givesWay(at('0.8.0', 2), at('0.9.0', 1)), false);
});
