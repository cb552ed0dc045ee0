import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunRequest, RunResult } from '../../io.ts';
import { loadOwnProfile, OWN_PROFILE } from './apparmor.ts';

const ENABLED = '/sys/module/apparmor/parameters/enabled';
const PROFILES = '/sys/kernel/security/apparmor/profiles';

test('our profile is loaded where AppArmor is on and has no default', async () => {
  const host = machine({ [ENABLED]: 'Y\n', [PROFILES]: 'mine (enforce)\n' });
  assert.equal(await loadOwnProfile(host), '');
  const [request, ...more] = host.ran;
  assert.deepEqual([request?.command, request?.input, more], ['apparmor_parser', OWN_PROFILE, []]);
});

test('it is not loaded again, nor where there is no AppArmor', async () => {
  for (const files of [
    {},
    { [ENABLED]: 'N\n' },
    { [ENABLED]: 'Y\n', [PROFILES]: 'mine (enforce)\nswarm-default (enforce)\n' },
    { [ENABLED]: 'Y\n', [PROFILES]: 'docker-default (enforce)\n' },
  ]) {
    const host = machine(files);
    assert.equal(await loadOwnProfile(host), '');
    assert.deepEqual(host.ran, []);
  }
});

test('why it could not be loaded is told', async () => {
  const answer = { code: -1, output: 'spawn apparmor_parser ENOENT', timedOut: false };
  const why = await loadOwnProfile(machine({ [ENABLED]: 'Y\n' }, answer));
  assert.match(why, /apparmor_parser ENOENT/);
});

function machine(
  files: { readonly [path: string]: string },
  answer: RunResult = { code: 0, output: '', timedOut: false },
) {
  const ran: RunRequest[] = [];
  return {
    ran,
    read: (path: string) => (path in files ? Buffer.from(files[path]!) : undefined),
    run: async (request: RunRequest) => {
      ran.push(request);
      return answer;
    },
  };
}
