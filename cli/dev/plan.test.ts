import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { DEFAULTS } from '../../shared/limits.ts';
import { planDevNodes } from './plan.ts';

const AT = { env: {}, uid: 0 };

/** Listens there for as long as the test runs; somebody else's daemon is as good. */
async function occupy(t: TestContext, host: string): Promise<void> {
  const server = createServer().listen({ host, port: DEFAULTS.controlPort, exclusive: true });
  t.after(() => server.close());
  await once(server, 'listening').catch(() => undefined);
}

test('a second cluster on this machine has other addresses than the first', async (t) => {
  const first = await planDevNodes('/tmp/one', 1, 1, AT);
  const [address] = first.map((node) => node.address);
  await occupy(t, address!);
  const second = await planDevNodes('/tmp/two', 1, 1, AT);
  assert.equal(second.length, 2);
  for (const node of second) {
    assert.notEqual(node.address.split('.')[2], address!.split('.')[2]);
    assert.equal(node.port, DEFAULTS.controlPort);
  }
});

test('a cluster without a manager, or with more nodes than addresses, is refused', async () => {
  for (const [managers, workers] of [
    [0, 1],
    [200, 100],
  ] as const)
    await assert.rejects(planDevNodes('/tmp/one', managers, workers, AT), {
      code: 'INVALID_ARGUMENT',
    });
});
