import assert from 'node:assert/strict';
import { test } from 'node:test';
import { helloUser } from './hello.ts';

test('hello runs as whoever typed sudo, as root where that is root, and unnamed for anybody else', () => {
  assert.equal(helloUser({ uid: 0, env: { SUDO_UID: '1000', SUDO_GID: '100' } }), '1000:100');
  assert.equal(helloUser({ uid: 0, env: { SUDO_UID: '1000' } }), '1000');
  assert.equal(helloUser({ uid: 0, env: {} }), 'root');
  assert.equal(helloUser({ uid: 1000, env: { SUDO_UID: '1001' } }), '');
});
