import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Protocol } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { silentLog } from '../../shared/log.ts';
import { SystemRandom } from '../../shared/random.ts';
import {
  endOf,
  freePort,
  NODE_ID,
  onceOf,
  service,
  startBackend,
  TestClient,
} from './netd/netd.fixture.ts';
import {
  answers,
  askAllTheTime,
  gone,
  kill,
  request,
  rowsAreSaved,
  startNode,
} from './proxy.fixture.ts';
import { ProxyNetwork } from './proxy-network.ts';

test('no netd runs until something is published', async (t) => {
  const node = await startNode(t);
  const applied = new Promise<number>((resolve) => {
    node.network.onApplied(resolve);
  });
  node.network.apply({ index: 7, services: [] });
  assert.equal(await applied, 7);
  assert.deepEqual(node.pids, []);
  assert.equal(existsSync(join(node.stateDir, 'netd.sock')), false);
});

test('a published port answers on the node, and its files are its owner’s alone', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  const backend = await startBackend(t, 'a');
  assert.deepEqual(await node.publish(1, { published, backends: [backend] }), []);
  const client = new TestClient(published);
  await client.until('a\n');
  assert.equal(await node.network.openConnections('a'), 1);
  client.socket.destroy();
  await rowsAreSaved(node);
  for (const name of ['netd.sock', 'netd.log', 'netd.rows'])
    assert.equal(statSync(join(node.stateDir, name)).mode & 0o777, 0o600, name);
});

test('a killed netd is started again and its ports answer within a second', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  const backend = await startBackend(t, 'a');
  await node.publish(1, { published, backends: [backend] });
  const pid = await node.connected();
  const before = performance.now();
  node.forget();
  kill(pid);
  await gone(pid);
  assert.equal(await answers(published), 'a\n');
  t.diagnostic(`${Math.round(performance.now() - before)} ms`);
  assert.notEqual(await node.connected(), pid);
});

test('a netd that hangs is ended and started again, and its ports answer', async (t) => {
  const node = await startNode(t);
  await node.network.stop();
  node.pulse = { everyMs: 50, answerMs: 200 };
  await node.daemon();
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const pid = await node.connected();
  node.forget();
  process.kill(pid, 'SIGSTOP');
  await gone(pid);
  assert.equal(await answers(published), 'a\n');
  const next = await node.connected();
  assert.notEqual(next, pid);
  // The next daemon finds one that hangs already.
  await rowsAreSaved(node);
  await node.network.stop();
  node.forget();
  process.kill(next, 'SIGSTOP');
  await node.daemon();
  await gone(next);
  assert.equal(await answers(published), 'a\n');
});

test('the ports answer while swarmd is away, and the next swarmd finds the same netd', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const pid = await node.connected();
  await node.network.stop();
  assert.equal(await answers(published), 'a\n');
  node.forget();
  await node.daemon();
  assert.equal(await node.connected(), pid);
});

test('a netd started before any manager is reached listens from the rows on disk', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const pid = await node.connected();
  await rowsAreSaved(node);
  await node.network.stop();
  kill(pid);
  await gone(pid);
  node.forget();
  await node.daemon();
  assert.equal(await answers(published), 'a\n');
});

test('damaged rows on disk are ignored and replaced by the next ones', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  const backends = [await startBackend(t, 'a')];
  await node.publish(1, { published, backends });
  const pid = await node.connected();
  await rowsAreSaved(node);
  await node.network.stop();
  kill(pid);
  await gone(pid);
  writeFileSync(join(node.stateDir, 'netd.rows'), 'torn');
  node.forget();
  await node.daemon();
  await node.connected();
  assert.equal(await endOf(connect(published, '127.0.0.1')), 'ECONNREFUSED');
  await node.publish(2, { published, backends });
  assert.equal(await answers(published), 'a\n');
});

test('with the last published port gone, a killed netd is not started again', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const pid = await node.connected();
  node.network.apply({ index: 2, services: [] });
  await node.until(() => node.applied(2));
  while (existsSync(join(node.stateDir, 'netd.rows'))) await new Promise(setImmediate);
  node.forget();
  kill(pid);
  await gone(pid);
  await node.until(() => node.applied(2));
  await node.network.stop();
  node.forget();
  await node.daemon();
  node.network.apply({ index: 3, services: [] });
  await node.until(() => node.applied(3));
  assert.equal(
    node.events.some((event) => event.message === 'netd was started'),
    false,
  );
});

test('a UDP client keeps its task when a newer netd takes over', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  const backends = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (taskId) => {
      const socket = createSocket('udp4');
      socket.on('message', (_, from) => socket.send(taskId, from.port, from.address));
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      t.after(() => socket.close());
      return { taskId, port: socket.address().port };
    }),
  );
  await node.publish(1, { published, protocol: Protocol.UDP, backends });
  const clients = Array.from({ length: 6 }, () => createSocket('udp4'));
  t.after(() => {
    for (const client of clients) client.close();
  });
  const askAll = async (): Promise<string[]> => {
    const answers = clients.map(async (client) => String((await once(client, 'message'))[0]));
    for (const client of clients) client.send('x', published, '127.0.0.1');
    return Promise.all(answers);
  };
  const before = await askAll();
  const older = await node.connected();
  await node.network.stop();
  await node.daemon('1.0.1');
  await node.connected('1.0.1');
  await gone(older);
  assert.deepEqual(await askAll(), before);
});

test('netd ends when its state directory is gone', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [] });
  const pid = await node.connected();
  await node.network.stop();
  const aside = `${node.stateDir}-removed`;
  renameSync(node.stateDir, aside);
  t.after(() => rmSync(aside, { recursive: true }));
  await gone(pid);
  assert.equal(await endOf(connect(published, '127.0.0.1')), 'ECONNREFUSED');
});

test('leaving ends netd and forgets the rows', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const pid = await node.connected();
  await node.network.destroy();
  await gone(pid);
  assert.equal(existsSync(join(node.stateDir, 'netd.rows')), false);
  assert.equal(existsSync(join(node.stateDir, 'netd.sock')), false);
  assert.equal(await endOf(connect(published, '127.0.0.1')), 'ECONNREFUSED');
});

test('a newer swarmd brings a newer netd, no connection is lost, and the older one ends', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  await node.publish(1, { published, backends: [await startBackend(t, 'a')] });
  const older = await node.connected();
  const open = new TestClient(published);
  await open.until('a\n');
  await node.network.stop();
  const asking = askAllTheTime(published);
  node.forget();
  await node.daemon('1.0.1');
  const newer = await node.connected('1.0.1');
  assert.notEqual(newer, older);
  assert.equal(await answers(published), 'a\n');
  const { asked, lost } = await asking.stop();
  assert.equal(lost, 0, `of ${asked} connections during the handover`);
  open.socket.write('still here');
  await open.until('still here');
  open.socket.end();
  await onceOf(open.socket, 'close');
  await gone(older);
  assert.equal(await answers(published), 'a\n');
});

test('a newer netd that does not start leaves the older one at work', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  const backends = [await startBackend(t, 'a')];
  await node.publish(1, { published, backends });
  const pid = await node.connected();
  await node.network.stop();
  const broken = new ProxyNetwork({
    stateDir: node.stateDir,
    nodeId: NODE_ID,
    publishAddress: '127.0.0.1',
    versionText: '2.0.0',
    netd: { execPath: process.execPath, args: [join(node.stateDir, 'no-such-script.mjs')] },
    clock: new SystemClock(),
    random: new SystemRandom(),
    log: silentLog,
  });
  const applied = new Promise<number>((resolve) => {
    broken.onApplied(resolve);
  });
  await broken.start();
  broken.apply({ index: 2, services: [service({ published, backends })] });
  assert.equal(await applied, 2);
  assert.equal(await answers(published), 'a\n');
  assert.ok(existsSync(`/proc/${pid}`));
  await broken.stop();
});

test('2,000 requests over backends that are drained and replaced: none is lost', async (t) => {
  const node = await startNode(t);
  const published = await freePort();
  let backends = await Promise.all(['a', 'b', 'c'].map((name) => startBackend(t, name)));
  let index = 1;
  await node.publish(index, { published, backends });
  const requests = { left: 2_000, lost: 0 };
  const clients = Array.from({ length: 8 }, () => request(published, requests));
  for (let round = 0; round < 9; round++) {
    // A round every 200 requests.
    while (requests.left > 1_800 - round * 200) await new Promise(setImmediate);
    const [old, ...rest] = backends;
    const fresh = await startBackend(t, `r${round}`);
    await node.publish(++index, {
      published,
      backends: [{ ...old!, draining: true }, ...rest, fresh],
    });
    // As the agent does: a connection that waits to be accepted would be reset by a closing server.
    while ((await node.network.openConnections(old!.taskId)) > 0);
    old!.server.close();
    backends = [...rest, fresh];
    await node.publish(++index, { published, backends });
  }
  await Promise.all(clients);
  assert.equal(requests.lost, 0);
});
