import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const launcher = fileURLToPath(new URL('./hello', import.meta.url));

/** Starts hello by its launcher; resolves with its process and its port when it listens. */
async function start(t, env = {}, command = launcher) {
  const child = spawn(command, [], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  return { child, port: Number(/:(\d+)\n/.exec(String(line))[1]) };
}

test('without a port of its own two of it run on one address', async (t) => {
  const [a, b] = [await start(t, { PORT: undefined }), await start(t, { PORT: undefined })];
  assert.notEqual(a.port, b.port);
});

const get = (port, path) => fetch(`http://127.0.0.1:${port}${path}`);

/** A connection of its own that sends requests as text. */
async function open(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}
const request = (path) => `GET ${path} HTTP/1.1\r\nHost: hello\r\n\r\n`;

/** Resolves when nobody listens on the port. */
async function refused(port) {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const taken = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!taken) return;
  }
}

/** Everything that comes until the end. */
async function rest(socket) {
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}

test('it answers with its task’s name, slot and version, as text and as JSON', async (t) => {
  const task = { SWARM_TASK_NAME: 'hello.2.abc', SWARM_TASK_SLOT: '2', SWARM_SERVICE_VERSION: '7' };
  const { port } = await start(t, task);
  assert.equal(await (await get(port, '/')).text(), 'Hello from hello.2.abc, slot 2, version 7\n');
  const json = await (await get(port, '/json')).json();
  assert.deepEqual(json, { task: 'hello.2.abc', slot: 2, version: '7' });
  assert.equal((await get(port, '/healthz')).status, 200);
  assert.equal((await get(port, '/nothing')).status, 404);
  assert.equal((await get(port, '/slow?ms=x')).status, 400);
});

test('HELLO_VERSION is the version where it is given', async (t) => {
  const { port } = await start(t, { HELLO_VERSION: 'v2', SWARM_SERVICE_VERSION: '7' });
  assert.equal((await (await get(port, '/json')).json()).version, 'v2');
});

test('its launcher works through a link on the PATH', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hello-'));
  t.after(() => rmSync(directory, { recursive: true }));
  symlinkSync(launcher, join(directory, 'hello'));
  const PATH = `${directory}:${process.env.PATH}`;
  const { port } = await start(t, { PATH }, join(directory, 'hello'));
  assert.equal((await get(port, '/healthz')).status, 200);
});

test('on SIGTERM it closes idle connections, finishes open requests and exits with 0', async (t) => {
  const { child, port } = await start(t);
  const idle = await open(port);
  idle.write(request('/healthz'));
  await once(idle, 'data');
  const busy = await open(port);
  busy.write(request('/slow?ms=300') + request('/healthz'));
  const exit = once(child, 'exit');
  const asked = await open(port);
  asked.write(request('/healthz'));
  await once(asked, 'data');
  child.kill('SIGTERM');
  await once(idle, 'end');
  const text = await rest(busy);
  assert.match(text, /^HTTP\/1.1 200 OK\r\nConnection: close\r\n/);
  assert.match(text, /Hello from/);
  assert.deepEqual(await exit, [0, null]);
});

test('a request on a kept connection just after SIGTERM is answered, and is the last', async (t) => {
  const { child, port } = await start(t);
  const kept = await open(port);
  kept.write(request('/healthz'));
  await once(kept, 'data');
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await refused(port);
  kept.write(request('/json'));
  assert.match(await rest(kept), /^HTTP\/1.1 200 OK\r\nConnection: close\r\n/);
  assert.deepEqual(await exit, [0, null]);
});

test('a port that is taken is one clear line and exit code 1', async (t) => {
  const { port } = await start(t);
  const second = spawn(launcher, [], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(port) },
  });
  const [[code], said] = await Promise.all([once(second, 'exit'), rest(second.stderr)]);
  assert.equal(code, 1);
  assert.match(said, /^hello cannot listen: .*EADDRINUSE.*\n$/);
});
