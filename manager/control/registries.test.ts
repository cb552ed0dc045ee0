import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListRequest, Ref, RegistryLoginRequest } from '../../proto/index.ts';
import { SCHEMA } from '../store/schema.ts';
import { context, Fixture } from './control.fixture.ts';

function login(at: Fixture, host: string, password = 'right', noCheck = false) {
  const auth = { host, username: 'me', password };
  return at.control.loginRegistry(RegistryLoginRequest.create({ auth, noCheck }), context());
}
async function hosts(at: Fixture): Promise<string[]> {
  const { registries } = await at.control.listRegistries(ListRequest.create(), context());
  return registries.map(({ host, username }) => `${username}@${host}`);
}

test('a login is kept, listed without its password, and forgotten', async () => {
  const at = new Fixture();
  await login(at, 'r.example:5000');
  await login(at, 'https://index.docker.io/v1/');
  const answer = await at.control.listRegistries(ListRequest.create(), context());
  assert.ok(!JSON.stringify(answer).includes('right'));
  assert.deepEqual(await hosts(at), ['me@docker.io', 'me@r.example:5000']);
  await at.control.logoutRegistry(Ref.create({ ref: 'docker.io' }), context());
  assert.deepEqual(await hosts(at), ['me@r.example:5000']);
  const again = at.control.logoutRegistry(Ref.create({ ref: 'docker.io' }), context());
  await assert.rejects(again, { code: 'NOT_FOUND' });
});

test('a login that the registry does not take is refused, unless it is not asked', async () => {
  const at = new Fixture();
  await assert.rejects(login(at, 'r.example', 'wrong'), { code: 'UNAUTHENTICATED' });
  assert.deepEqual(await hosts(at), []);
  await login(at, 'r.example', 'wrong', true);
  assert.deepEqual(await hosts(at), ['me@r.example']);
});

test('a registry that can not be asked is said at once: no other manager is tried for it', async () => {
  const at = new Fixture();
  const error = { code: 'NO_ANSWER', message: "can't reach away.example; nothing was kept" };
  await assert.rejects(login(at, 'away.example'), error);
  assert.deepEqual(await hosts(at), []);
});

test('an empty password and what is no registry are refused', async () => {
  const at = new Fixture();
  await assert.rejects(login(at, 'r.example', ''), { code: 'INVALID_SPEC' });
  await assert.rejects(login(at, 'no registry'), { code: 'INVALID_SPEC' });
  await assert.rejects(login(at, 'r.example', 'x'.repeat(20_000)), { code: 'INVALID_SPEC' });
});

test('logins are sealed on disk', () => {
  assert.equal(SCHEMA.registryLogin.secret, true);
  assert.equal(SCHEMA.serviceLogin.secret, true);
});
