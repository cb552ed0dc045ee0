import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadBalanced, NodeLabel, type PortConfig, Protocol } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { FakeNetwork } from '../agent/network.fixture.ts';
import { BoundNetwork } from './bound-network.ts';

const NODE = 'node1';

test('a port of an interface is published at each of its addresses', () => {
  const { apply, binds } = bound({ eth1: ['10.9.0.1', 'fd09::1'] });
  apply([port('eth1')]);
  assert.deepEqual(binds(), ['10.9.0.1', 'fd09::1']);
});

test('a port of a label is published where the label says, and nowhere without it', () => {
  const { apply, binds } = bound({ eth1: ['10.9.0.1'] });
  const labels = [label(NODE, 'uplink', 'eth1'), label('node2', 'backup', '10.9.0.7')];
  apply([port('node.labels.uplink'), port('node.labels.backup', 81)], labels);
  assert.deepEqual(binds(), ['10.9.0.1']);
  apply([port('node.labels.uplink')], [label(NODE, 'uplink', '10.9.0.8')]);
  assert.deepEqual(binds(), ['10.9.0.8']);
});

test('a node without the interface says so, and publishes the other ports', () => {
  const { apply, binds, failures, network } = bound({});
  apply([port('eth1'), port('127.0.0.1', 81), port('', 82)]);
  assert.deepEqual(binds(), ['127.0.0.1', '']);
  network.complete();
  assert.deepEqual(failures(), ['80: this node has no interface "eth1" with an address']);
});

test('addresses that an interface gets and loses are followed', () => {
  const interfaces: Record<string, string[]> = {};
  const { apply, binds, clock, network, failures } = bound(interfaces);
  apply([port('eth1')]);
  interfaces['eth1'] = ['10.9.0.1'];
  clock.advance(5_000);
  assert.deepEqual(binds(), ['10.9.0.1']);
  network.complete();
  assert.deepEqual(failures(), []);
  delete interfaces['eth1'];
  clock.advance(5_000);
  assert.deepEqual(binds(), []);
});

test('a row whose ports mean the same stays the same object', () => {
  const { bindRow, row, network } = bound({ eth1: ['10.9.0.1'] });
  const service = bindRow([port('eth1')]);
  row(service, 1);
  const before = network.applied.at(-1)?.services[0];
  row(service, 2);
  assert.equal(network.applied.at(-1)?.services[0], before);
});

test('rows without such ports are passed on as they are', () => {
  const { bindRow, row, network, clock } = bound({});
  const service = bindRow([port('127.0.0.1')]);
  row(service, 1);
  assert.equal(network.applied.at(-1)?.services[0], service);
  clock.advance(60_000);
  assert.equal(network.applied.length, 1);
});

function port(bind: string, published = 80): Partial<PortConfig> {
  return { protocol: Protocol.TCP, published, target: 80, bind };
}

function label(nodeId: string, key: string, value: string): NodeLabel {
  return NodeLabel.create({ nodeId, key, value });
}

/** A node whose interfaces have these addresses. */
function bound(interfaces: Readonly<Record<string, readonly string[]>>) {
  const clock = new ManualClock();
  const network = new FakeNetwork();
  network.immediate = false;
  const places = { nodeId: NODE, addressesOf: (name: string) => interfaces[name] ?? [] };
  const outer = new BoundNetwork({ inner: network, places, clock });
  let failures: readonly string[] = [];
  outer.onApplied((_index, failed) => {
    failures = failed.map((one) => `${one.port}: ${one.reason}`);
  });
  const bindRow = (ports: readonly Partial<PortConfig>[], nodeLabels: readonly NodeLabel[] = []) =>
    LoadBalanced.create({ serviceId: 's1', ports, nodeLabels });
  const row = (service: LoadBalanced, index: number): void =>
    outer.apply({ index, services: [service] });
  return {
    clock,
    network,
    bindRow,
    row,
    apply: (ports: readonly Partial<PortConfig>[], labels?: readonly NodeLabel[]) =>
      row(bindRow(ports, labels), 1),
    binds: () => network.applied.at(-1)?.services[0]?.ports.map(({ bind }) => bind),
    failures: () => failures,
  };
}
