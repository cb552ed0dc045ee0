import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Examined } from '../../../manager/control/doctor/finding.ts';
import { judge } from '../../../manager/control/doctor/judge.ts';
import { AttachedNetwork, NetworkLookRequest, NetworkPeer } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { examineNetwork } from '../../../worker/network/doctor/examine.ts';
import { SystemNetcmd } from '../../../worker/network/router/netcmd.ts';
import { network } from '../../../worker/network/router/rows.fixture.ts';
import { SystemIo } from '../../../worker/system-io.ts';
import { ROOT } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import { Hosts } from './hosts.ts';
import { DATA_PORT, Routers } from './routers.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);

const VXLAN_OVER_IPV6 = 70;

/** Faults are planted in hosts; every node looks, and the judge has to name them. */
describe('the network doctor', { skip: missing || false }, () => {
  let hosts: Hosts;
  let routers: Routers;
  const clock = new SystemClock();
  const io = new SystemIo(clock);

  before(async () => {
    hosts = await Hosts.make(2);
    routers = new Routers(hosts);
    await routers.open();
    await routers.apply({ networks: [...routers.rows.networks, network(1)] });
  });
  after(() => routers?.end());

  async function examine(host: number, probe: boolean): Promise<Examined> {
    const deps = {
      io,
      netcmd: new SystemNetcmd(io, clock, hosts.name(host)),
      router: routers.routers[host - 1]!,
      short: routers.short(host),
      lacks: () => '',
      inside: {
        execPath: process.execPath,
        args: [join(ROOT, 'dist', 'worker', 'inside', 'main.js')],
      },
    };
    const request = NetworkLookRequest.create({ probe });
    const found = await examineNetwork(deps, { index: 1, ...routers.rows }, request);
    return {
      id: routers.nodeId(host),
      name: `n${host}`,
      network: found,
      error: '',
      current: true,
      toldMtu: 1_500,
      dataAddress: routers.rows.peers[host - 1]!.dataAddress,
      dataPort: DATA_PORT,
      noEncryption: '',
    };
  }
  /** As people read it: node, check and the words. */
  async function findings(probe: boolean): Promise<readonly string[]> {
    const nodes = await Promise.all([1, 2].map((host) => examine(host, probe)));
    const networks = [{ name: 'net1', subnets: ['10.0.1.0/24'], encrypted: false }];
    return judge(nodes, networks).map(
      ({ nodeName, check, text }) => `${nodeName} ${check}: ${text}`,
    );
  }
  /** The fault is there while `look` runs. */
  async function planted<T>(host: string, make: string, undo: string, look: () => Promise<T>) {
    await hosts.must(host, make);
    try {
      return await look();
    } finally {
      await hosts.must(host, undo);
    }
  }
  const drop = (hook: string, rule: string): string =>
    `nft 'table inet other { chain one { type filter hook ${hook} priority 0; ${rule}; }; }'`;
  const UNDO = 'nft delete table inet other';

  it('finds nothing where nothing is wrong, and leaves nothing behind', async () => {
    assert.deepEqual(await findings(true), []);
    assert.doesNotMatch(await hosts.must(hosts.name(1), 'nft list tables'), /doctor/);
  });
  it('names the node whose filter drops what the other sends', async () => {
    const rule = drop('input', `udp dport ${DATA_PORT} drop`);
    const [found, ...more] = await planted(hosts.name(2), rule, UNDO, () => findings(true));
    assert.match(found!, /^n2 firewall: UDP 4799 from n1 .* to n2 .*: a filter of n2 drops it$/);
    assert.deepEqual(more, []);
  });
  it('names the node that sends nothing', async () => {
    const rule = drop('output', `udp dport ${DATA_PORT} drop`);
    const [found, ...more] = await planted(hosts.name(1), rule, UNDO, () => findings(true));
    assert.match(found!, /^n1 data-port: UDP 4799 from n1 .*: it does not leave n1$/);
    assert.deepEqual(more, []);
  });
  it('names both ends of a way that something between them closed', async () => {
    const rule =
      'nft "table netdev other { chain one { type filter hook ingress device h0 priority 0; ' +
      `udp dport ${DATA_PORT} drop; }; }"`;
    const undo = 'nft delete table netdev other';
    const [found, ...more] = await planted(hosts.outside, rule, undo, () => findings(true));
    assert.match(found!, /^n2 data-port: UDP 4799 from n1 .* to n2 .*: it is lost on the way$/);
    assert.deepEqual(more, []);
  });
  it('names packets that are too large for the way', async () => {
    const rule =
      'nft "table netdev other { chain one { type filter hook ingress device h0 priority 0; ' +
      'meta length > 1440 drop; }; }"';
    const undo = 'nft delete table netdev other';
    const [found, ...more] = await planted(hosts.outside, rule, undo, () => findings(true));
    assert.match(found!, /^n1 mtu: packets of 1450 bytes are lost from n1 to n2, 1370 pass$/);
    assert.deepEqual(more, []);
  });
  it('names a device whose MTU shrank, a route in the way and a firewall', async () => {
    const name = hosts.name(1);
    const shrunk = await planted(
      name,
      'ip link set eth0 mtu 1400',
      'ip link set eth0 mtu 1500',
      () => findings(false),
    );
    assert.deepEqual(shrunk, ['n1 mtu: eth0 has an MTU of 1400, not 1500 as told']);
    const route = 'via 192.168.99.254';
    const add = `ip route add 10.0.0.0/16 ${route}`;
    const overlapping = await planted(name, add, 'ip route del 10.0.0.0/16', () => findings(false));
    assert.deepEqual(overlapping, [
      'n1 overlap: network net1 (10.0.1.0/24) overlaps 10.0.0.0/16, which it routes itself',
    ]);
    const closed = await planted(name, drop('forward', 'policy drop'), UNDO, () => findings(false));
    assert.match(closed.join(), /^n1 firewall: chain one of table inet other drops/);
  });
  it('names what somebody took away, which is there again afterwards', async () => {
    await hosts.must(hosts.name(2), 'nft flush ruleset');
    await hosts.must(routers.inside(2), 'nft delete table ip swarm; ip link del swx2');
    const found = await findings(false);
    assert.match(found.join(), /^n2 state: \d+ things of its network had been changed/);
    assert.deepEqual(await findings(false), []);
  });
  it('names a filter on a way over IPv6, and finds nothing on the way back', async () => {
    const peers = routers.rows.peers.map((peer, at) =>
      NetworkPeer.with(peer, { dataAddress: hosts.address6(at + 1) }),
    );
    const networks = routers.rows.networks.map((each) =>
      AttachedNetwork.with(each, { mtu: 1_500 - VXLAN_OVER_IPV6 }),
    );
    await routers.apply({ peers, networks });
    const rule = drop('input', `udp dport ${DATA_PORT} drop`);
    const [found, ...more] = await planted(hosts.name(2), rule, UNDO, () => findings(true));
    assert.match(found!, /^n2 firewall: UDP 4799 from n1 .*fd99::11.* to n2 .*: a filter of n2/);
    assert.deepEqual(more, []);
  });
});
