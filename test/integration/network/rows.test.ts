import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LoadBalanced, NetworkService } from '../../../proto/index.ts';
import { network } from '../../../worker/network/router/rows-fixture.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import { Hosts, type Peer } from './hosts.ts';
import { Routers } from './routers.ts';

const missing = missingForContainers(['bridge', 'conntrack']);

describe('routers driven by rows', { skip: missing || false }, () => {
  let hosts: Hosts;
  let routers: Routers;
  const peers: Peer[] = [];
  const net = network(1);
  const nodeId = (host: number): string => routers.nodeId(host);

  before(async () => {
    hosts = await Hosts.make(3);
    routers = new Routers(hosts);
    await routers.open();
    await routers.apply({ networks: [...routers.rows.networks, net] });
    for (const host of [1, 2, 3]) {
      const { peer } = await routers.container(host, `c${host}`, {
        attachments: [attachment(host)],
      });
      await peer.call('serve', 80);
      peers.push(peer);
    }
    await routers.apply({
      networkServices: [service(nodeId, [1, 2, 3])],
      services: [published(nodeId, [1, 2, 3])],
    });
  });
  after(() => routers.end());

  it('carries TCP and UDP between containers, with their own addresses', async () => {
    assert.equal(await peers[0]!.call('tcp', '10.0.1.12', 80), 'c2 10.0.1.11');
    assert.deepEqual(await peers[0]!.call('udp', '10.0.1.13', 80), ['c3 10.0.1.11']);
    assert.equal(await peers[1]!.call('tcp', 'fd00:0:0:1::13', 80), 'c3 fd00:0:0:1::12');
  });
  it('spreads a virtual address over its backends, which see the client', async () => {
    const expected = ['c1 198.18.0.1', 'c2 10.0.1.11', 'c3 10.0.1.11'];
    assert.deepEqual(await peers[0]!.times(30, 'tcp', '10.0.1.2', 80), expected);
    assert.deepEqual(await peers[0]!.times(30, 'udp', '10.0.1.2', 80), expected);
    const six = ['c1 fd73:7761:726d::1', 'c2 fd00:0:0:1::11', 'c3 fd00:0:0:1::11'];
    assert.deepEqual(await peers[0]!.times(30, 'tcp', 'fd00:0:0:1::2', 80), six);
  });
  it('keeps the address of clients at a published port of any node', async () => {
    const outside = await hosts.peer(hosts.outside, 'outside');
    const expected = ['c1 192.168.99.254', 'c2 192.168.99.254', 'c3 192.168.99.254'];
    for (const host of [1, 2, 3]) {
      assert.deepEqual(await outside.times(30, 'tcp', hosts.address(host), 8088), expected);
      assert.deepEqual(await outside.times(30, 'udp', hosts.address(host), 8088), expected);
    }
  });
  it('answers at a published port of the node itself, and of any node to its containers', async () => {
    const own = await hosts.peer(hosts.name(1), 'host1');
    const expected = [1, 2, 3].map((n) => `c${n} ${hosts.address(1)}`);
    assert.deepEqual(await own.times(30, 'tcp', '127.0.0.1', 8088), expected);
    assert.deepEqual(await own.times(30, 'tcp', hosts.address(1), 8088), expected);
    const inside = ['c1 10.0.1.12', 'c2 198.18.0.1', 'c3 10.0.1.12'];
    assert.deepEqual(await peers[1]!.times(30, 'tcp', hosts.address(3), 8088), inside);
  });
  it('finds nothing to do when it is done again', async () => {
    for (const router of routers.routers) {
      assert.equal(await router.repair(), '');
      assert.equal(router.repaired, 0);
    }
  });
});

function attachment(host: number) {
  return {
    networkId: 'net1',
    address: `10.0.1.1${host}`,
    address6: `fd00:0:0:1::1${host}`,
    aliases: [],
  };
}

function service(nodeId: (host: number) => string, hostsOf: readonly number[]): NetworkService {
  return NetworkService.create({
    id: 'web/net1',
    serviceId: 'web',
    serviceName: 'web',
    networkId: 'net1',
    address: '10.0.1.2',
    address6: 'fd00:0:0:1::2',
    endpoints: hostsOf.map((host) => ({
      taskId: `c${host}`,
      nodeId: nodeId(host),
      slot: host,
      ready: true,
      ...attachment(host),
    })),
  });
}

function published(nodeId: (host: number) => string, hostsOf: readonly number[]): LoadBalanced {
  return LoadBalanced.create({
    serviceId: 'web',
    serviceName: 'web',
    ports: [
      { target: 80, published: 8088 },
      { target: 80, published: 8088, protocol: 1 },
    ],
    backends: hostsOf.map((host) => ({
      taskId: `c${host}`,
      nodeId: nodeId(host),
      slot: host,
      address: `10.0.1.1${host}`,
      address6: `fd00:0:0:1::1${host}`,
    })),
  });
}
