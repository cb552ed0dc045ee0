import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { writeDevMarker } from './marker.ts';
import { releaseNetworks } from './networks.ts';
import { planDevNodes } from './plan.ts';

/** A machine of its own: whose clusters have which addresses is kept in the home. */
function machine(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), 'swarm-plan-'));
  t.after(() => rmSync(home, { recursive: true }));
  return { home, at: { env: { HOME: home }, uid: 0, clock: new ManualClock() } };
}

/** Listens there for as long as the test runs; somebody else's daemon is as good. */
async function occupy(t: TestContext, host: string): Promise<void> {
  const server = createServer().listen({ host, port: DEFAULTS.controlPort, exclusive: true });
  t.after(() => server.close());
  await once(server, 'listening').catch(() => undefined);
}

test('a second cluster on this machine has other addresses than the first', async (t) => {
  const { at } = machine(t);
  const first = await planDevNodes('/tmp/one', 1, 1, at);
  const [address] = first.map((node) => node.address);
  await occupy(t, address!);
  const second = await planDevNodes('/tmp/two', 1, 1, at);
  assert.equal(second.length, 2);
  for (const node of second) {
    assert.notEqual(node.address.split('.')[2], address!.split('.')[2]);
    assert.equal(node.port, DEFAULTS.controlPort);
  }
});

test('a cluster without a manager, or with more nodes than addresses, is refused', async (t) => {
  const { at } = machine(t);
  for (const [managers, workers] of [
    [0, 1],
    [200, 100],
  ] as const)
    await assert.rejects(planDevNodes('/tmp/one', managers, workers, at), {
      code: 'INVALID_ARGUMENT',
    });
});

test('a cluster keeps its addresses while it is stopped, and gives them back at its end', async (t) => {
  const { at, home } = machine(t);
  const plan = (name: string) => planDevNodes(join(home, name), 1, 0, at);
  const one = await plan('one');
  assert.notEqual((await plan('two'))[0]!.address, one[0]!.address, 'the first is just being made');
  writeDevMarker(join(home, 'one'), { kind: 'swarm-dev', nodes: one });
  releaseNetworks(at, join(home, 'two'));
  at.clock.advance(Date.now() + 3_600_000);
  assert.notEqual((await plan('two'))[0]!.address, one[0]!.address);
  assert.equal((await plan('one'))[0]!.address, one[0]!.address);
  releaseNetworks(at, join(home, 'one'));
  assert.equal((await plan('three'))[0]!.address, one[0]!.address);
});

test('a cluster that was made and deleted by hand keeps nothing', async (t) => {
  const { at, home } = machine(t);
  const [lost] = await planDevNodes(join(home, 'lost'), 1, 0, at);
  at.clock.advance(Date.now() + 3_600_000);
  const [next] = await planDevNodes(join(home, 'next'), 1, 0, at);
  assert.equal(next!.address, lost!.address);
});
