import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NetworkAttachment,
  NetworkState,
  NodeState,
  ServiceState,
  Subnet,
  Task,
  TaskState,
  TaskStatus,
} from '../../../proto/index.ts';
import { parsePrefix } from '../../../shared/prefix.ts';
import { AddressIndex } from './address-index.ts';
import { AddressRange } from './address-range.ts';
import { freeSubnet } from './free-subnet.ts';

function network(id: string, index: number, ...cidrs: string[]): NetworkState {
  return NetworkState.create({ id, index, subnets: cidrs.map((cidr) => ({ cidr })) });
}
function task(id: string, ...addresses: string[]): Task {
  const attachments = addresses.map((address) => ({ networkId: 'n', address }));
  return Task.create({ id, nodeId: 'node', state: TaskState.ASSIGNED, attachments });
}
function indexOf(...networks: NetworkState[]): AddressIndex {
  const index = new AddressIndex();
  for (const row of networks) index.networkChanged(row.id, row);
  return index;
}
function take(index: AddressIndex, id: string): string | undefined {
  const address = index.free('n')?.address;
  if (address !== undefined) index.taskChanged(id, task(id, address), undefined);
  return address;
}
const ended = TaskStatus.create({ state: TaskState.FAILED });

test('neither the network, nor everybody, nor the gateway is given', () => {
  const index = indexOf(network('n', 1, '10.0.0.0/29'));
  const given = [1, 2, 3, 4, 5, 6].map((n) => take(index, `t${n}`));
  assert.deepEqual(given, ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', undefined]);
  assert.deepEqual(index.usage('n'), { used: 5, capacity: 5 });
});

test('what was freed comes last', () => {
  const index = indexOf(network('n', 1, '10.0.0.0/29'));
  take(index, 'a');
  take(index, 'b');
  index.taskChanged('a', task('a', '10.0.0.2'), ended);
  assert.equal(take(index, 'c'), '10.0.0.4');
  assert.deepEqual([take(index, 'd'), take(index, 'e')], ['10.0.0.5', '10.0.0.6']);
  assert.equal(take(index, 'f'), '10.0.0.2');
  assert.equal(take(index, 'g'), undefined);
});

test('a part of a subnet, and a gateway of its own', () => {
  const subnet = Subnet.create({
    cidr: '10.0.0.0/24',
    gateway: '10.0.0.130',
    range: '10.0.0.128/30',
  });
  const range = new AddressRange(subnet);
  assert.equal(range.capacity, 3);
  const given = [];
  for (let at = range.next(-1); at !== undefined; at = range.next(at)) given.push(at & 255);
  assert.deepEqual(given, [128, 129, 131]);
});

test('the second address is made of the first', () => {
  const row = network('n', 1, '10.0.0.0/24', 'fd00:1::/64');
  assert.deepEqual(indexOf(row).free('n'), { address: '10.0.0.2', address6: 'fd00:1::a00:2' });
});

test('in one entry the new holder may come before the old one goes', () => {
  const index = indexOf(network('n', 1, '10.0.0.0/29'));
  index.taskChanged('old', task('old', '10.0.0.2'), undefined);
  index.serviceChanged(
    's',
    ServiceState.create({
      id: 's',
      virtualAddresses: [NetworkAttachment.create({ networkId: 'n', address: '10.0.0.2' })],
    }),
  );
  index.taskChanged('old', undefined, undefined);
  const given = [1, 2, 3, 4].map((n) => take(index, `t${n}`));
  assert.deepEqual(given, ['10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
  assert.equal(take(index, 'more'), undefined);
});

test('a turn that is not written leaves nothing', () => {
  const index = indexOf(network('n', 1, '10.0.0.0/30'), network('m', 2, '10.0.1.0/30'));
  index.nodeChanged('a', NodeState.create({ id: 'a', index: 1 }));
  index.taskChanged('a', task('a', '10.0.0.2'), undefined);
  const before = index.describe();
  index.begin();
  index.networkChanged('n', network('n', 1, '10.0.0.0/30', '10.0.9.0/30'));
  assert.equal(take(index, 'b'), '10.0.9.2');
  index.taskChanged('a', undefined, undefined);
  index.networkChanged('m', undefined);
  index.networkChanged('o', network('o', index.freeNetworkIndex(), '10.0.5.0/24'));
  index.nodeChanged('a', undefined);
  index.nodeChanged('b', NodeState.create({ id: 'b', index: index.freeNodeIndex() }));
  assert.notDeepEqual(index.describe(), before);
  index.rollback();
  assert.deepEqual(index.describe(), before);
  assert.equal(take(index, 'c'), undefined);
  assert.deepEqual([index.freeNetworkIndex(), index.freeNodeIndex()], [3, 2]);
});

test('a network that is gone gives nothing, and its numbers rest with its row', () => {
  const row = network('n', 1, '10.0.0.0/24');
  const index = indexOf(row);
  index.networkChanged('n', NetworkState.with(row, { removedMs: 5 }));
  assert.equal(index.free('n'), undefined);
  assert.equal(index.freeNetworkIndex(), 2);
  assert.deepEqual([...index.unsettled()], ['n']);
  index.networkChanged('n', undefined);
  assert.equal(index.freeNetworkIndex(), 1);
});

test('the lowest free subnet, clear of everything that is taken', () => {
  const prefix = (text: string) => parsePrefix(text)!;
  const pools = ['10.0.0.0/22', '10.8.0.0/24'];
  assert.equal(freeSubnet(pools, 24, []), '10.0.0.0/24');
  const taken = ['10.0.0.0/24', '10.0.1.128/25', 'fd00::/8', '10.0.3.0/30'].map(prefix);
  assert.equal(freeSubnet(pools, 24, taken), '10.0.2.0/24');
  assert.equal(freeSubnet(pools, 24, [...taken, prefix('10.0.0.0/8')]), undefined);
  assert.equal(freeSubnet(pools, 24, [prefix('10.0.0.0/16')]), '10.8.0.0/24');
  assert.equal(freeSubnet(pools, 26, taken), '10.0.1.0/26');
});
