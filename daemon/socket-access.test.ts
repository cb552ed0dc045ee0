import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { socketAccess } from './socket-access.ts';

/** The group of whoever runs the tests is as good as any other. */
const gid = process.getgid!();

function place(t: TestContext, mode: number) {
  const root = mkdtempSync(join(tmpdir(), 'swarm-socket-'));
  t.after(() => rmSync(root, { recursive: true }));
  const [directory, stateDir] = [join(root, 'run'), join(root, 'state')];
  mkdirSync(directory);
  chmodSync(directory, mode);
  mkdirSync(stateDir);
  chmodSync(stateDir, 0o755);
  const groups = join(root, 'group');
  writeFileSync(groups, `root:x:0:\nswarm:x:${gid}:ada,bob\n`);
  const none = join(root, 'no-group');
  writeFileSync(none, 'root:x:0:\n');
  return { directory, stateDir, groups, none };
}

test('a directory of the group opens the socket to the group, and to nobody else', async (t) => {
  const { directory, stateDir, groups, none } = place(t, 0o750);
  const at = { socket: join(directory, 's.sock'), stateDir };
  const elsewhere = { isRoot: false, systemDir: '/run/elsewhere' };
  assert.deepEqual(await socketAccess(at, { ...elsewhere, groups }), { mode: 0o660, gid });
  assert.deepEqual(await socketAccess(at, { ...elsewhere, groups: none }), { mode: 0o600 });
});

test('a directory that its group may not enter keeps the socket to its user', async (t) => {
  const { directory, stateDir, groups } = place(t, 0o700);
  const at = { socket: join(directory, 's.sock'), stateDir };
  const around = { isRoot: false, systemDir: directory, groups };
  assert.deepEqual(await socketAccess(at, around), { mode: 0o600 });
});

test('a state directory that others may enter is closed when the socket lies in it', async (t) => {
  const { stateDir, none } = place(t, 0o700);
  const at = { socket: join(stateDir, 's.sock'), stateDir };
  const around = { isRoot: false, systemDir: '/run/elsewhere', groups: none };
  assert.deepEqual(await socketAccess(at, around), { mode: 0o600 });
  assert.equal(statSync(stateDir).mode & 0o777, 0o700);
});

test('root gives the system’s directory to the group', async (t) => {
  if (process.getuid!() !== 0) return t.skip('needs root');
  const { directory, stateDir, groups } = place(t, 0o700);
  const at = { socket: join(directory, 's.sock'), stateDir };
  const around = { isRoot: true, systemDir: directory, groups };
  assert.deepEqual(await socketAccess(at, around), { mode: 0o660, gid });
  assert.equal(statSync(directory).mode & 0o777, 0o750);
});
