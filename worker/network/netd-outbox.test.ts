import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkService } from '../../proto/index.ts';
import { NetdOutbox, type NetdWish } from './netd-outbox.ts';
import { endpoint, network, published, service } from './router/rows.fixture.ts';

const ports = [published(1, [1])];
const asks = endpoint(1, {
  attachments: [{ networkId: 'net1', address: '10.0.1.11', address6: '', aliases: [] }],
  dns: ['192.0.2.1'],
});
const first = network(1);

function wish(index: number, services: readonly NetworkService[], init: Partial<NetdWish> = {}) {
  return {
    rows: { index, services: ports },
    nodeId: 'n1',
    publishAddress: '',
    taskPorts: new Map(),
    names: { router: 'swr-n1', networks: [first], services, clients: [asks] },
    ...init,
  };
}

test('a netd is told everything first, and then what changed', () => {
  const outbox = new NetdOutbox(2);
  const [web, other] = [service(1, [1]), service(1, [2], { id: 'db/net1' })];
  const all = outbox.next(wish(1, [web, other]))!;
  assert.deepEqual([all.restKept, all.services.length, all.names?.complete], [false, 1, true]);
  assert.deepEqual(
    all.names?.clients.map(({ addresses, networkIds, dns }) => [addresses, networkIds, dns]),
    [[['10.0.1.11'], ['net1'], ['192.0.2.1']]],
  );
  assert.equal(outbox.next(wish(2, [web, other])), undefined);
  const changed = outbox.next(wish(3, [service(1, [1, 2]), other]))!;
  assert.deepEqual([changed.restKept, changed.services.length], [true, 0]);
  assert.deepEqual(
    changed.names?.services.map(({ id }) => id),
    ['web/net1'],
  );
  assert.deepEqual(changed.names?.networks, []);
  const gone = outbox.next(wish(4, []))!;
  assert.deepEqual([...gone.names!.removedServices].sort(), ['db/net1', 'web/net1']);
});

test('ports that change are told whole, and names that stay are not told again', () => {
  const outbox = new NetdOutbox(2);
  const web = service(1, [1]);
  outbox.next(wish(1, [web]));
  const told = outbox.next(wish(2, [web], { rows: { index: 2, services: [published(1, [2])] } }))!;
  assert.deepEqual([told.restKept, told.services.length, told.names], [false, 1, null]);
});

test('when nobody asks any more, nothing of names is left there', () => {
  const outbox = new NetdOutbox(2);
  outbox.next(wish(1, [service(1, [1])]));
  const { names } = outbox.next(wish(2, [], { names: undefined }))!;
  assert.deepEqual(
    [names?.router, names?.removedClients, names?.removedNetworks],
    ['', ['task1'], ['net1']],
  );
});

test('a netd of an older release is told everything each time', () => {
  const outbox = new NetdOutbox(1);
  const web = service(1, [1]);
  for (const index of [1, 2]) {
    const told = outbox.next(wish(index, [web]))!;
    assert.deepEqual([told.index, told.restKept, told.services.length], [index, false, 1]);
  }
});
