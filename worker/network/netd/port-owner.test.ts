import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Protocol } from '../../../proto/index.ts';
import { portOwner } from './port-owner.ts';

async function listening(t: TestContext, host: string, port = 0): Promise<number> {
  const server: Server = createServer().listen({ host, port, exclusive: true });
  t.after(() => server.close());
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

const SELF = new RegExp(`\\(pid ${process.pid}\\)$`);

test('who listens on the same address and port has it', async (t) => {
  const port = await listening(t, '127.0.0.1');
  assert.match((await portOwner(Protocol.TCP, '127.0.0.1', port)) ?? '', SELF);
});

test('the same port of another address is in nobody’s way', async (t) => {
  const port = await listening(t, '127.0.0.1');
  assert.equal(await portOwner(Protocol.TCP, '127.0.0.2', port), undefined);
});

test('who listens on every address has the port of each', async (t) => {
  const port = await listening(t, '0.0.0.0');
  assert.match((await portOwner(Protocol.TCP, '127.0.0.2', port)) ?? '', SELF);
});

test('whoever wants every address is in the way of one', async (t) => {
  const port = await listening(t, '127.0.0.1');
  assert.match((await portOwner(Protocol.TCP, '0.0.0.0', port)) ?? '', SELF);
});
