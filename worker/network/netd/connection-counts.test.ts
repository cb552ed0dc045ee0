import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countEstablished, localPortsOf } from './connection-counts.ts';
import { freePort, NODE_ID, rowsOf, startBackend, TestClient } from './netd.fixture.ts';

test('the kernel counts every open connection of a task, wherever it came from', async (t) => {
  const backend = await startBackend(t, 'a');
  const ports = new Set([backend.port]);
  assert.equal(await countEstablished(ports), 0);
  const clients = [new TestClient(backend.port), new TestClient(backend.port)];
  for (const client of clients) await client.until('a\n');
  assert.equal(await countEstablished(ports), 2);
  for (const client of clients) client.socket.destroy();
});

test('a connection whose client has ended counts until the answer is done', async (t) => {
  let answer: () => void = () => undefined;
  const backend = await startBackend(t, 'a', (socket) => {
    socket.on('data', () => undefined);
    socket.on('end', () => socket.write('heard'));
    answer = () => socket.end();
  });
  const client = new TestClient(backend.port);
  client.socket.end('question');
  await client.until('heard');
  assert.equal(await countEstablished(new Set([backend.port])), 1);
  answer();
  await new Promise((resolve) => client.socket.once('close', resolve));
  assert.equal(await countEstablished(new Set([backend.port])), 0);
});

test('where /proc cannot be read the count is zero', async () => {
  const unreadable = async (): Promise<string> => {
    throw new Error('EACCES');
  };
  assert.equal(await countEstablished(new Set([await freePort()]), unreadable), 0);
});

test('only tasks of this node have local ports', () => {
  const backends = [
    { taskId: 'here', port: 20_000 },
    { taskId: 'away', port: 20_001, nodeId: 'node-two' },
  ];
  const rows = rowsOf({ published: 8080, backends });
  assert.deepEqual([...localPortsOf(rows, NODE_ID, 'here')], [20_000]);
  assert.deepEqual([...localPortsOf(rows, NODE_ID, 'away')], []);
});
