import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type ListenFailure, LoadBalanced, NetdRows } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { ConnectionCounts } from './connection-counts.ts';
import { listenFailure } from './listen-failure.ts';
import { ListenerSet } from './listener-set.ts';
import { freePort, rowsOf, startBackend, TestClient } from './netd.fixture.ts';
import { portOwner } from './port-owner.ts';
import { wishOf } from './wish.ts';

function setup(t: TestContext) {
  const clock = new ManualClock();
  const reports: (readonly ListenFailure[])[] = [];
  let wake = (): void => undefined;
  const set = new ListenerSet({
    clock,
    random: new SeededRandom(1),
    log: silentLog,
    counts: new ConnectionCounts(),
    owner: portOwner,
    onIdle: () => undefined,
    onSettled: (failures) => {
      reports.push(failures);
      wake();
    },
  });
  t.after(() => set.destroy());
  const nextReport = async (): Promise<readonly ListenFailure[]> => {
    if (reports.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return reports.shift()!;
  };
  return { clock, set, nextReport };
}

test('a taken port is reported with its owner and listened on once it is free', async (t) => {
  const { clock, set, nextReport } = setup(t);
  const port = await freePort();
  const holder = createServer().listen(port, '127.0.0.1');
  await once(holder, 'listening');
  t.after(() => holder.close());
  const backend = await startBackend(t, 'a');
  set.apply(wishOf(rowsOf({ published: port, backends: [backend] }), '127.0.0.1'));
  const [failure] = await nextReport();
  assert.equal(failure?.port, port);
  assert.match(failure!.reason, new RegExp(`127.0.0.1:${port}/tcp: it is taken by .*pid`));
  assert.match(failure!.reason, new RegExp(`\\(pid ${process.pid}\\)`));
  holder.close();
  await once(holder, 'close');
  clock.advance(1_000);
  assert.deepEqual(await nextReport(), []);
  await new TestClient(port).until('a\n');
});

test('a port whose owner may not be seen is taken by another process', async () => {
  const port = 8080;
  const wish = [...wishOf(rowsOf({ published: port, backends: [] }), '::1').listeners.values()][0]!;
  const failure = await listenFailure(wish, { code: 'EADDRINUSE' }, async () => undefined);
  assert.equal(
    failure.reason,
    `cannot listen on [::1]:${port}/tcp: it is taken by another process`,
  );
});

test('an address that the machine has not is said so', async (t) => {
  const { set, nextReport } = setup(t);
  set.apply(wishOf(rowsOf({ published: 8080, backends: [] }), '192.0.2.1'));
  assert.match((await nextReport())[0]!.reason, /this machine has no address 192.0.2.1/);
});

test('a port that no row names any more is closed', async (t) => {
  const { set, nextReport } = setup(t);
  const port = await freePort();
  set.apply(wishOf(rowsOf({ published: port, backends: [] }), '127.0.0.1'));
  assert.deepEqual(await nextReport(), []);
  set.apply(wishOf(NetdRows.create(), '127.0.0.1'));
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  server.close();
});

test('a second service that wants the same port is reported and the first keeps it', async () => {
  const rows = rowsOf({ published: 8080, backends: [] });
  const second = LoadBalanced.with(rows.services[0]!, {
    serviceId: 'service-two',
    serviceName: 'other',
  });
  const wish = wishOf(NetdRows.with(rows, { services: [second, rows.services[0]!] }), '127.0.0.1');
  assert.equal(wish.listeners.get('tcp/127.0.0.1:8080')?.serviceName, 'hello');
  assert.match(wish.conflicts[0]!.reason, /published by the service hello as well/);
});
