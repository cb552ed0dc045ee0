import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SwarmError } from '../shared/errors.ts';
import { connect, probeSocket } from './connect.ts';
import { daemonArguments } from './daemon-process.ts';
import {
  DEV_MARKER,
  devDirOf,
  readDevMarker,
  recordDevNode,
  writeDevMarker,
} from './dev/marker.ts';
import { ownSocket, type Surroundings, socketCandidates, stateDirOf } from './paths.ts';
import { isSameProcess, processStartTime } from './process-identity.ts';
import { shortSocketPath } from './socket-path.ts';

function tempDir(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-cli-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function around(root: string, env: Surroundings['env'] = {}, uid = 1000): Surroundings {
  const isClone = true;
  const home = { HOME: join(root, 'home') };
  return { env: { ...home, ...env }, uid, installation: { root, isClone, daemon: '/d.mjs' } };
}
const none = { socket: undefined, via: undefined };
const node = {
  name: 'm1',
  role: 'manager',
  address: '127.0.77.1',
  port: 2377,
  stateDir: '/x',
  socket: '/x/m1.sock',
  pid: 0,
  startTime: '',
} as const;

test('what the user names wins over what is there', (t) => {
  const root = tempDir(t);
  const at = around(root, { SWARM_SOCKET: '/env.sock', SWARM_DEV_DIR: join(root, 'dev') });
  writeDevMarker(join(root, 'dev'), { kind: 'swarm-dev', nodes: [node] });
  const first = (globals: { socket: string | undefined; via: string | undefined }) =>
    socketCandidates(at, globals).map(({ path, chosen }) => [path, chosen]);
  assert.deepEqual(first({ socket: '/flag.sock', via: 'm1' }), [['/flag.sock', true]]);
  assert.deepEqual(first({ socket: undefined, via: 'm1' }), [['/x/m1.sock', true]]);
  assert.deepEqual(first({ socket: undefined, via: `${root}/dev/m1` }), [['/x/m1.sock', true]]);
  assert.deepEqual(first(none), [['/env.sock', true]]);
});

test("without a choice: the machine's daemon, one's own; a clone's own cluster alone, also stopped", async (t) => {
  const root = tempDir(t);
  assert.deepEqual(
    socketCandidates(around(root), none).map(({ path }) => path),
    ['/run/swarm/swarm.sock', join(root, 'home/.local/share/swarm/swarm.sock')],
  );
  mkdirSync(join(root, '.swarm', 'up'), { recursive: true });
  const marker = { kind: 'swarm-up', socket: join(root, 'up.sock') };
  writeFileSync(join(root, '.swarm', 'up', 'swarm-up.json'), JSON.stringify(marker));
  assert.deepEqual(
    socketCandidates(around(root), none).map(({ path }) => path),
    [join(root, 'up.sock')],
  );
  await assert.rejects(
    connect(around(root), none),
    (error: unknown) => SwarmError.is(error) && error.command === 'npm run up',
  );
});

test('a node that is not in the dev cluster is refused with those that are', (t) => {
  const root = tempDir(t);
  const at = around(root);
  assert.throws(
    () => socketCandidates(at, { socket: undefined, via: 'm1' }),
    (error: unknown) => SwarmError.is(error) && error.message.includes('no `swarm dev` cluster'),
  );
  writeDevMarker(devDirOf(at), { kind: 'swarm-dev', nodes: [node] });
  assert.throws(
    () => socketCandidates(at, { socket: undefined, via: 'm7' }),
    (error: unknown) => SwarmError.is(error) && error.message.includes('only m1'),
  );
});

test("root's daemon lives in the system, another's at home, a chosen one where it says", (t) => {
  const root = tempDir(t);
  assert.equal(ownSocket(around(root, {}, 0), none), '/run/swarm/swarm.sock');
  assert.equal(stateDirOf(around(root, {}, 0)), '/var/lib/swarm');
  const own = join(root, 'home/.local/share/swarm');
  assert.equal(stateDirOf(around(root)), own);
  assert.equal(ownSocket(around(root), none), join(own, 'swarm.sock'));
  assert.equal(ownSocket(around(root), none, '/s'), '/s/swarm.sock');
  assert.equal(ownSocket(around(root, { SWARM_STATE_DIR: '/e' }), none), '/e/swarm.sock');
});

test('a socket that nobody listens on any more is told from one that is not there', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 's.sock');
  assert.equal(await probeSocket(path), 'absent');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  assert.equal(await probeSocket(path), 'answers');
  await new Promise((resolve) => server.close(resolve));
  writeFileSync(path, '');
  assert.equal(await probeSocket(path), 'dead');
});

test('an error about a missing daemon names what was tried and how to start one', async (t) => {
  const root = tempDir(t);
  const chosen = { socket: join(root, 'no.sock'), via: undefined };
  await assert.rejects(connect(around(root), chosen), (error: unknown) => {
    assert.ok(SwarmError.is(error));
    assert.equal(error.code, 'NO_DAEMON');
    assert.ok(error.message.includes('no.sock (--socket)'));
    assert.equal(error.command, 'swarm start');
    return true;
  });
});

test('a socket path that the kernel would not take moves to a private folder', (t) => {
  const base = tempDir(t);
  const uid = process.getuid!();
  const env = { XDG_RUNTIME_DIR: base };
  assert.equal(shortSocketPath('/short', 'a.sock', env, uid), '/short/a.sock');
  const path = shortSocketPath(`/${'long'.repeat(40)}`, 'a.sock', env, uid);
  assert.ok(path.startsWith(base) && Buffer.byteLength(path) <= 100, path);
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  assert.throws(
    () => shortSocketPath(`/${'long'.repeat(40)}`, 'a.sock', env, uid + 1),
    (error: unknown) => SwarmError.is(error) || (error as NodeJS.ErrnoException).code === 'EACCES',
  );
});

test('a dev cluster is never made in a folder of something else', (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'precious'), '');
  const refused = (error: unknown) => SwarmError.is(error) && error.code === 'STATE_DIR';
  assert.throws(() => writeDevMarker(dir, { kind: 'swarm-dev', nodes: [] }), refused);
  writeFileSync(join(dir, DEV_MARKER), '{"kind":"other"}');
  assert.equal(readDevMarker(dir), undefined);
});

test('what is recorded of one node leaves the others alone', (t) => {
  const dir = join(tempDir(t), 'dev');
  const other = { ...node, name: 'w1' };
  writeDevMarker(dir, { kind: 'swarm-dev', nodes: [node, other] });
  recordDevNode(dir, { ...node, pid: 7 });
  assert.deepEqual(readDevMarker(dir)?.nodes, [{ ...node, pid: 7 }, other]);
});

test('a process is the same only while its start time is', () => {
  const startTime = processStartTime(process.pid)!;
  assert.ok(isSameProcess(process.pid, startTime));
  assert.ok(!isSameProcess(process.pid, String(Number(startTime) - 1)));
  assert.ok(!isSameProcess(process.pid, ''));
  assert.ok(!isSameProcess(0, '0'));
  assert.ok(!isSameProcess(1, processStartTime(1) ?? ''));
});

test("a daemon's arguments are paths and switches alone", () => {
  const place = { daemon: '/d.mjs', stateDir: '/s', socket: '/s/s.sock', allowProcess: true };
  assert.deepEqual(daemonArguments(place, '/s/log'), [
    '/d.mjs',
    '--state-dir',
    '/s',
    '--socket',
    '/s/s.sock',
    '--log-file',
    '/s/log',
    '--allow-process',
  ]);
});
