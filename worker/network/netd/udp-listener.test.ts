import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Protocol } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { ConnectionCounts } from './connection-counts.ts';
import { type RowsOptions, rowsOf } from './netd.fixture.ts';
import { UdpListener } from './udp-listener.ts';
import { wishOf } from './wish.ts';

type Options = Omit<RowsOptions, 'published' | 'protocol'>;

async function bound(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return socket;
}

/** Answers each datagram with its name, the datagram, and the port it came from. */
async function backend(t: TestContext, taskId: string): Promise<{ taskId: string; port: number }> {
  const socket = await bound(t);
  socket.on('message', (datagram, from) => {
    socket.send(`${taskId} ${datagram.toString('latin1')} ${from.port}`, from.port, from.address);
  });
  return { taskId, port: socket.address().port };
}

async function setup(t: TestContext, options: Options) {
  const free = await bound(t);
  const published = free.address().port + 1;
  const clock = new ManualClock();
  const deps = { clock, random: new SeededRandom(1), counts: new ConnectionCounts() };
  const listener = new UdpListener({ ...deps, onEnded: () => undefined });
  const update = (next: Options): void => {
    const rows = rowsOf({ ...next, published, protocol: Protocol.UDP });
    for (const wish of wishOf(rows, '127.0.0.1').listeners.values()) listener.update(wish);
  };
  update(options);
  await listener.listen('127.0.0.1', published);
  t.after(() => listener.destroy());
  const ask = async (client: Socket, text: string): Promise<string[]> => {
    client.send(text, published, '127.0.0.1');
    const [answer] = (await once(client, 'message')) as [Buffer];
    return answer.toString('latin1').split(' ');
  };
  return { clock, listener, update, ask };
}

test('all datagrams of a client go to one backend over one flow, and clients are spread', async (t) => {
  const backends = [await backend(t, 'a'), await backend(t, 'b')];
  const { ask, listener } = await setup(t, { backends });
  const [one, two] = [await bound(t), await bound(t)];
  const first = await ask(one, 'x');
  const other = await ask(two, 'x');
  assert.notEqual(first[0], other[0]);
  for (let i = 0; i < 3; i++) assert.deepEqual(await ask(one, 'x'), first);
  assert.equal(listener.open, 2);
});

test('a flow moves when its backend drains', async (t) => {
  const [a, b] = [await backend(t, 'a'), await backend(t, 'b')];
  const { ask, update, listener } = await setup(t, { backends: [a] });
  const client = await bound(t);
  assert.equal((await ask(client, 'x'))[0], 'a');
  update({ backends: [{ ...a, draining: true }, b] });
  assert.equal((await ask(client, 'x'))[0], 'b');
  assert.equal(listener.open, 1);
});

test('a flow moves when its backend is in no row any more', async (t) => {
  const [a, b] = [await backend(t, 'a'), await backend(t, 'b')];
  const { ask, update } = await setup(t, { backends: [a] });
  const client = await bound(t);
  assert.equal((await ask(client, 'x'))[0], 'a');
  update({ backends: [b] });
  assert.equal((await ask(client, 'x'))[0], 'b');
});

test('a flow ends after 60 seconds without a datagram', async (t) => {
  const { ask, clock, listener } = await setup(t, { backends: [await backend(t, 'a')] });
  await ask(await bound(t), 'x');
  clock.advance(59_000);
  assert.equal(listener.open, 1);
  clock.advance(11_000);
  assert.equal(listener.open, 0);
  assert.equal(clock.nextDueMs(), undefined);
});

test('a flow that is used does not end', async (t) => {
  const { ask, clock, listener } = await setup(t, { backends: [await backend(t, 'a')] });
  const client = await bound(t);
  for (let i = 0; i < 4; i++) {
    await ask(client, 'x');
    clock.advance(50_000);
  }
  assert.equal(listener.open, 1);
});

test('each datagram carries the PROXY protocol header where that is asked for', async (t) => {
  const a = await backend(t, 'a');
  const { ask } = await setup(t, { backends: [a], proxyProtocolV2: true });
  const client = await bound(t);
  const [, text] = await ask(client, 'x');
  const bytes = Buffer.from(text!, 'latin1');
  assert.equal(bytes.subarray(0, 16).toString('hex'), '0d0a0d0a000d0a515549540a2112000c');
});
