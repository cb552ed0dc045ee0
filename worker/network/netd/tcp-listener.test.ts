import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { ConnectionCounts } from './connection-counts.ts';
import {
  endOf,
  freePort,
  type RowsOptions,
  rowsOf,
  startBackend,
  TestClient,
} from './netd.fixture.ts';
import { TcpListener } from './tcp-listener.ts';
import { wishOf } from './wish.ts';

interface Setup {
  readonly clock: ManualClock;
  readonly counts: ConnectionCounts;
  readonly listener: TcpListener;
  readonly port: number;
  update(options: Omit<RowsOptions, 'published'>): void;
  ended(): Promise<void>;
}

async function setup(t: TestContext, options: Omit<RowsOptions, 'published'>): Promise<Setup> {
  const port = await freePort();
  const clock = new ManualClock();
  const counts = new ConnectionCounts();
  let onEnded = (): void => undefined;
  const listener = new TcpListener({
    clock,
    random: new SeededRandom(1),
    counts,
    onEnded: () => onEnded(),
  });
  const update = (next: Omit<RowsOptions, 'published'>): void => {
    const rows = rowsOf({ ...next, published: port });
    for (const wish of wishOf(rows, '127.0.0.1').listeners.values()) listener.update(wish);
  };
  const ended = (): Promise<void> =>
    new Promise((resolve) => {
      onEnded = resolve;
    });
  update(options);
  await listener.listen('127.0.0.1', port);
  t.after(() => listener.destroy());
  return { clock, counts, listener, port, update, ended };
}

test('connections go to the backends in turn', async (t) => {
  const backends = [await startBackend(t, 'a'), await startBackend(t, 'b')];
  const { port } = await setup(t, { backends });
  const seen: string[] = [];
  for (let i = 0; i < 4; i++) {
    const client = new TestClient(port);
    await client.until('\n');
    seen.push(client.text);
    client.socket.destroy();
  }
  assert.equal(seen.filter((text) => text === 'a\n').length, 2);
  assert.equal(seen.filter((text) => text === 'b\n').length, 2);
});

test('a refused dial goes on to the next backend and the client sees nothing of it', async (t) => {
  const refused = { taskId: 'refused', port: await freePort() };
  const backends = [refused, await startBackend(t, 'a')];
  const { port } = await setup(t, { backends });
  for (let i = 0; i < 3; i++) {
    const client = new TestClient(port);
    client.socket.write('first words\n');
    await client.until('first words\n');
    assert.equal(client.text, 'a\nfirst words\n');
    client.socket.destroy();
  }
});

test('a draining backend gets no new connection and keeps its old one', async (t) => {
  const [a, b] = [await startBackend(t, 'a'), await startBackend(t, 'b')];
  const { port, update, counts } = await setup(t, { backends: [a] });
  const old = new TestClient(port);
  await old.until('a\n');
  update({ backends: [{ ...a, draining: true }, b] });
  for (let i = 0; i < 3; i++) {
    const fresh = new TestClient(port);
    await fresh.until('b\n');
    fresh.socket.destroy();
  }
  update({ backends: [b] });
  old.socket.write('still here');
  await old.until('still here');
  assert.equal(counts.of('a'), 1);
});

test('an end of the client reaches the backend, whose answer still comes', async (t) => {
  const backend = await startBackend(t, 'a', (socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('end', () => socket.end(`heard ${text}`));
  });
  const { port, ended, listener, counts } = await setup(t, { backends: [backend] });
  const over = ended();
  const client = new TestClient(port);
  client.socket.end('all of it');
  await once(client.socket, 'end');
  assert.equal(client.text, 'heard all of it');
  await over;
  assert.equal(listener.open, 0);
  assert.equal(counts.of('a'), 0);
});

test('an end of the backend reaches the client, which may still speak', async (t) => {
  let heard: (text: string) => void;
  const words = new Promise<string>((resolve) => {
    heard = resolve;
  });
  const backend = await startBackend(t, 'a', (socket) => {
    socket.end('bye');
    socket.on('data', (chunk) => heard(String(chunk)));
  });
  const { port } = await setup(t, { backends: [backend] });
  const client = new TestClient(port);
  await once(client.socket, 'end');
  client.socket.end('last word');
  assert.equal(await words, 'last word');
  assert.equal(client.text, 'bye');
});

test('a reset of the backend resets the client', async (t) => {
  const backend = await startBackend(t, 'a', (socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  const { port } = await setup(t, { backends: [backend] });
  const client = new TestClient(port);
  client.socket.write('go away');
  assert.equal(await endOf(client.socket), 'ECONNRESET');
});

test('a reader that does not read stops the writer, and loses nothing', async (t) => {
  const total = 32 << 20;
  let sent = 0;
  const chunk = Buffer.alloc(1 << 16, 'x');
  const backend = await startBackend(t, 'a', (socket) => {
    const more = (): void => {
      while (sent < total) {
        sent += chunk.length;
        if (!socket.write(chunk)) return void socket.once('drain', more);
      }
      socket.end();
    };
    more();
  });
  const { port } = await setup(t, { backends: [backend] });
  const client = new TestClient(port);
  client.socket.pause();
  await once(client.socket, 'connect');
  let before = -1;
  while (sent !== before) {
    before = sent;
    // All ends are in this process: what can still flow does so in these turns of its loop.
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  }
  assert.ok(sent < total, `${sent} bytes were taken though nobody reads`);
  client.socket.resume();
  await once(client.socket, 'end');
  assert.equal(client.text.length, total);
});

test('without a backend a client waits for the next rows', async (t) => {
  const { port, update, clock } = await setup(t, { backends: [] });
  const client = new TestClient(port);
  await once(client.socket, 'connect');
  client.socket.write('early ');
  while (clock.nextDueMs() === undefined) await new Promise(setImmediate);
  clock.advance(900);
  update({ backends: [await startBackend(t, 'a')] });
  await client.until('early ');
  assert.equal(client.text, 'a\nearly ');
});

test('without a backend for a second a client is reset', async (t) => {
  const { port, clock, ended } = await setup(t, { backends: [] });
  const over = ended();
  const client = new TestClient(port);
  const end = endOf(client.socket);
  while (clock.nextDueMs() === undefined) await new Promise(setImmediate);
  clock.advance(1_000);
  assert.equal(await end, 'ECONNRESET');
  await over;
});

test('a backend that refuses is dialled again within the second', async (t) => {
  const port = await freePort();
  const { port: published, clock } = await setup(t, { backends: [{ taskId: 'late', port }] });
  const client = new TestClient(published);
  // The first round was refused when the timer of the next one stands.
  while (clock.nextDueMs() !== 50) await new Promise(setImmediate);
  const late = await startBackend(t, 'late');
  late.server.close();
  await once(late.server, 'close');
  late.server.listen(port, '127.0.0.1');
  await once(late.server, 'listening');
  clock.advance(50);
  await client.until('late\n');
});

test('the PROXY protocol header comes before the first byte and names the client', async (t) => {
  let done: (bytes: Buffer) => void;
  const received = new Promise<Buffer>((resolve) => {
    done = resolve;
  });
  const backend = await startBackend(t, 'a', (socket) => {
    let all = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      all = Buffer.concat([all, chunk]);
      if (all.length >= 28 + 5) done(all);
    });
  });
  const { port: published } = await setup(t, { backends: [backend], proxyProtocolV2: true });
  const client = new TestClient(published);
  client.socket.write('hello');
  const bytes = await received;
  assert.equal(bytes.subarray(0, 16).toString('hex'), '0d0a0d0a000d0a515549540a2111000c');
  assert.equal(bytes.subarray(16, 24).toString('hex'), '7f0000017f000001');
  assert.equal(bytes.readUInt16BE(24), client.socket.localPort);
  assert.equal(bytes.readUInt16BE(26), published);
  assert.equal(bytes.subarray(28).toString(), 'hello');
});

test('a closed listener refuses, and its open connection goes on', async (t) => {
  const backend = await startBackend(t, 'a');
  const { port, listener } = await setup(t, { backends: [backend] });
  const old = new TestClient(port);
  await old.until('a\n');
  listener.close();
  assert.equal(await endOf(new TestClient(port).socket), 'ECONNREFUSED');
  old.socket.write('still here');
  await old.until('still here');
});
