import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Init,
  LoadBalanced,
  NetworkService,
  Protocol,
  PublishMode,
} from '../../../proto/index.ts';
import { network } from '../../../worker/network/router/rows.fixture.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import { Hosts, type Peer } from './hosts.ts';
import { Routers } from './routers.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
/** Enough that no backend of three is left out: one in ten million. */
const OFTEN = 40;
const LIBERAL = 'cat /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal';

describe('routers driven by rows', { skip: missing || false }, () => {
  let hosts: Hosts;
  let routers: Routers;
  let outside: Peer;
  /** `c1` to `c3` of the service web, one on each host; `d1` alone on another network of host 1. */
  const at: { [name: string]: Peer } = {};
  const nodeId = (host: number): string => routers.nodeId(host);

  before(async () => {
    hosts = await Hosts.make(3);
    routers = new Routers(hosts);
    // Settings that people have: no IPv6 on new devices, and IPv6 that is forwarded.
    await hosts.must(hosts.name(2), 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6');
    await hosts.must(hosts.name(3), 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding');
    await routers.open();
    // As where a machine balances load: routers begin with its settings.
    await hosts.must(routers.inside(1), 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore');
    const inner = network(2, { internal: true });
    await routers.apply({ networks: [...routers.rows.networks, network(1), inner] });
    for (const host of [1, 2, 3]) {
      const { peer } = await routers.container(host, `c${host}`, {
        attachments: [address(1, host)],
      });
      await peer.call('serve', 80);
      at[`c${host}`] = peer;
    }
    const { peer } = await routers.container(1, 'd1', { attachments: [address(2, 4)] });
    at['d1'] = peer;
    outside = await hosts.peer(hosts.outside, 'outside');
    await outside.call('serve', 80);
    await routers.apply({
      networkServices: [service([1, 2, 3])],
      services: [published([1, 2, 3])],
    });
  });
  after(() => routers?.end());

  const address = (net: number, task: number) => ({
    networkId: `net${net}`,
    address: `10.0.${net}.1${task}`,
    address6: `fd00:0:0:${net}::1${task}`,
    aliases: [],
  });
  const service = (tasks: readonly number[], draining: readonly number[] = []): NetworkService =>
    NetworkService.create({
      id: 'web/net1',
      serviceId: 'web',
      serviceName: 'web',
      networkId: 'net1',
      address: '10.0.1.2',
      address6: 'fd00:0:0:1::2',
      endpoints: tasks.map((task) => ({
        taskId: `c${task}`,
        nodeId: nodeId(task),
        slot: task,
        ready: true,
        draining: draining.includes(task),
        address: address(1, task).address,
        address6: address(1, task).address6,
      })),
    });
  const published = (
    tasks: readonly number[],
    draining: readonly number[] = [],
    ports: Init<LoadBalanced>['ports'] = [
      { target: 80, published: 8088 },
      { target: 80, published: 8088, protocol: Protocol.UDP },
    ],
  ): LoadBalanced =>
    LoadBalanced.create({
      serviceId: 'web',
      serviceName: 'web',
      ports,
      backends: tasks.map((task) => ({
        taskId: `c${task}`,
        nodeId: nodeId(task),
        slot: task,
        draining: draining.includes(task),
        address: address(1, task).address,
        address6: address(1, task).address6,
      })),
    });
  const all = (client: string): string[] => [1, 2, 3].map((task) => `c${task} ${client}`);
  const repairs = async (): Promise<readonly number[]> => {
    for (const router of routers.routers) assert.equal(await router.repair(), '');
    return routers.routers.map((router) => router.repaired);
  };

  it('carry TCP and UDP between containers, with their own addresses', async () => {
    assert.equal(await at['c1']!.call('tcp', '10.0.1.12', 80), 'c2 10.0.1.11');
    assert.deepEqual(await at['c1']!.call('udp', '10.0.1.13', 80), ['c3 10.0.1.11']);
    assert.equal(await at['c2']!.call('tcp', 'fd00:0:0:1::13', 80), 'c3 fd00:0:0:1::12');
  });
  it('learn no neighbours on links of containers, which a machine has room for 1,024 of', async () => {
    // Addresses of a link alone are asked for once, and are the first that a kernel forgets.
    const learned = 'ip neigh show | grep -v -e PERMANENT -e " dev up0 " -e ^fe80: || true';
    for (const host of [1, 2, 3]) {
      assert.equal(await hosts.must(routers.inside(host), learned), '');
      assert.equal(await hosts.must(`swt-${routers.short(host)}-c${host}`, learned), '');
    }
  });
  it('spread a virtual address over its backends, which see the client; one may be itself', async () => {
    const expected = ['c1 10.0.1.2', 'c2 10.0.1.11', 'c3 10.0.1.11'];
    assert.deepEqual(await at['c1']!.times(OFTEN, 'tcp', '10.0.1.2', 80), expected);
    assert.deepEqual(await at['c1']!.times(OFTEN, 'udp', '10.0.1.2', 80), expected);
    const six = ['c1 fd00:0:0:1::2', 'c2 fd00:0:0:1::11', 'c3 fd00:0:0:1::11'];
    assert.deepEqual(await at['c1']!.times(OFTEN, 'tcp', 'fd00:0:0:1::2', 80), six);
  });
  it('keep the address of clients at a published port of any node', async () => {
    for (const host of [1, 2, 3]) {
      const from = all('192.168.99.254');
      assert.deepEqual(await outside.times(OFTEN, 'tcp', hosts.address(host), 8088), from);
      assert.deepEqual(await outside.times(OFTEN, 'udp', hosts.address(host), 8088), from);
      const six = all('fd99::254');
      assert.deepEqual(await outside.times(OFTEN, 'tcp', hosts.address6(host), 8088), six);
    }
  });
  it('answer at a published port of the node itself, and of any node to its containers', async () => {
    const own = await hosts.peer(hosts.name(1), 'host1');
    const expected = all(hosts.address(1));
    assert.deepEqual(await own.times(OFTEN, 'tcp', '127.0.0.1', 8088), expected);
    assert.deepEqual(await own.times(OFTEN, 'udp', '127.0.0.1', 8088), expected);
    assert.deepEqual(await own.times(OFTEN, 'tcp', hosts.address(1), 8088), expected);
    const six = all(hosts.address6(1));
    assert.deepEqual(await own.times(OFTEN, 'tcp', hosts.address6(1), 8088), six);
    assert.equal(await own.call('tcp', '::1', 8088), 'ECONNREFUSED', 'at once');
    const inside = ['c1 10.0.1.12', `c2 ${hosts.address(3)}`, 'c3 10.0.1.12'];
    assert.deepEqual(await at['c2']!.times(OFTEN, 'tcp', hosts.address(3), 8088), inside);
  });
  it('let containers out with the address of their node, and none of an internal network', async () => {
    assert.equal(await at['c2']!.call('tcp', '192.168.99.254', 80), `outside ${hosts.address(2)}`);
    assert.equal(await at['c2']!.call('tcp', 'fd99::254', 80), `outside ${hosts.address6(2)}`);
    assert.equal(await at['d1']!.call('tcp', '192.168.99.254', 80), 'EHOSTUNREACH');
  });
  it('keep networks apart, and say so at once', async () => {
    assert.equal(await at['d1']!.call('tcp', '10.0.1.11', 80), 'EHOSTUNREACH');
    assert.equal(await at['d1']!.call('tcp', '10.0.1.2', 80), 'EHOSTUNREACH');
    // However often: kernels by themselves tell now and then only.
    for (const [address, answer] of [
      ['10.0.1.77', 'EHOSTUNREACH'],
      ['fd00:0:0:1::77', 'ENETUNREACH'],
    ] as const)
      assert.deepEqual(await at['c1']!.times(OFTEN, 'tcp', address, 80), [answer]);
  });
  it('take up at once what clients sent to a UDP port before it was published', async () => {
    const own = await hosts.peer(hosts.name(1), 'early');
    await own.call('serve', 8085);
    const inside = async (): Promise<string> =>
      (await at['c1']!.call<string[]>('udp', hosts.address(1), 8085, 1, 32_005))[0]!;
    await inside();
    const senders: readonly (readonly [Peer, string, number])[] = [
      [outside, hosts.address(1), 32_001],
      [outside, hosts.address6(1), 32_002],
      [own, hosts.address(1), 32_003],
      [own, '127.0.0.1', 32_004],
    ];
    const answers = async (): Promise<string[]> => {
      const asked = senders.map(([peer, to, from]) => peer.call('udp', to, 8085, 1, from));
      return (await Promise.all(asked)).map((answer) => String(answer).split(' ')[0]!);
    };
    assert.deepEqual(await answers(), ['early', 'early', 'early', 'early']);
    const ports = [{ target: 80, published: 8085, protocol: Protocol.UDP }];
    await routers.apply({ services: [published([2], [], ports)] });
    assert.deepEqual(await answers(), ['c2', 'c2', 'c2', 'c2']);
    assert.equal(await inside(), 'c2 10.0.1.11');
    await routers.apply({ services: [published([1, 2, 3])] });
    assert.deepEqual(await answers(), ['early', 'early', 'early', 'early']);
    own.end();
  });
  it('move datagrams of a published port on every node when its backend drains', async () => {
    const flows = async (): Promise<string[]> => {
      const asked = [1, 2, 3].map((host) =>
        outside.call('udp', hosts.address(host), 8088, 1, 33_000 + host),
      );
      return (await Promise.all(asked)).map(String);
    };
    const before = await flows();
    assert.deepEqual(await flows(), before);
    for (const gone of [1, 2]) {
      const stays = [1, 2, 3].filter((task) => task !== gone);
      await routers.apply({ services: [published([1, 2, 3], [gone])] });
      for (const answer of await flows())
        assert.ok(
          stays.some((task) => answer === `c${task} 192.168.99.254`),
          answer,
        );
    }
    await routers.apply({ services: [published([1, 2, 3])] });
  });
  it('carry datagrams in pieces, to virtual addresses and published ports', async () => {
    const ask = async (peer: Peer, address: string, port: number): Promise<void> => {
      // The first one may find out how large pieces may be.
      if (address.includes(':')) await peer.call('large', address, port, 6_000);
      assert.match(await peer.call('large', address, port, 6_000), /^c\d 6000$/, address);
    };
    for (const address of ['10.0.1.2', 'fd00:0:0:1::2']) await ask(at['c1']!, address, 80);
    for (const host of [1, 2, 3])
      for (const address of [hosts.address(host), hosts.address6(host)])
        await ask(outside, address, 8088);
  });
  it('find nothing to do when it is done again', async () => {
    assert.deepEqual(await repairs(), [0, 0, 0]);
  });
  it('publish at one address, and on nodes that have a task only', async () => {
    const ports = [
      { target: 80, published: 8081, bind: hosts.address(1) },
      { target: 80, published: 8082, mode: PublishMode.HOST },
    ];
    await routers.apply({ services: [published([1, 2], [], ports)] });
    const two = ['c1 192.168.99.254', 'c2 192.168.99.254'];
    assert.deepEqual(await outside.times(OFTEN, 'tcp', hosts.address(1), 8081), two);
    assert.equal(await outside.call('tcp', hosts.address(2), 8081), 'ECONNREFUSED');
    assert.deepEqual(await outside.times(9, 'tcp', hosts.address(2), 8082), [two[1]!]);
    assert.equal(await outside.call('tcp', hosts.address(3), 8082), 'ECONNREFUSED');
    assert.equal(await at['c1']!.call('tcp', hosts.address(2), 8082), `c2 ${hosts.address(1)}`);
    await routers.apply({ services: [published([1, 2, 3])] });
  });
  it('send a client to one backend where the service asks for it', async () => {
    const row = NetworkService.with(service([1, 2, 3]), { clientAffinity: true });
    const services = [LoadBalanced.with(published([1, 2, 3]), { clientAffinity: true })];
    await routers.apply({ networkServices: [row], services });
    const one = await at['c1']!.times(20, 'tcp', '10.0.1.2', 80);
    assert.equal(one.length, 1);
    const published1 = await outside.times(10, 'tcp', hosts.address(1), 8088);
    assert.equal(published1.length, 1);
    assert.deepEqual(await outside.times(10, 'tcp', hosts.address(3), 8088), published1);
    await routers.apply({
      networkServices: [service([1, 2, 3])],
      services: [published([1, 2, 3])],
    });
  });
  it('keep flows apart that a client sends from one port to two nodes', async () => {
    await routers.apply({ services: [published([2])] });
    const from = `c2 192.168.99.254`;
    for (const host of [1, 2, 3]) {
      const answer = await outside.call('hold', `from${host}`, hosts.address(host), 8088, 31_000);
      assert.equal(answer, from, `TCP by host ${host}`);
    }
    for (const host of [1, 2, 3]) {
      assert.equal(await outside.call('say', `from${host}`), from, `TCP by host ${host}`);
      await outside.call('drop', `from${host}`);
      const datagrams = await outside.call('udp', hosts.address(host), 8088, 2, 31_001);
      assert.deepEqual(datagrams, [from, from], `UDP by host ${host}`);
    }
    await routers.apply({ services: [published([1, 2, 3])] });
  });
  it('give a draining backend nothing new, keep what is open, and move its datagrams', async () => {
    const client = at['c1']!;
    const held = new Map<string, string>();
    for (let n = 0; !held.has('c3') && n < OFTEN; n++) {
      const answer = await client.call('hold', `h${n}`, '10.0.1.2', 80);
      held.set(answer.split(' ')[0]!, `h${n}`);
    }
    const key = held.get('c3')!;
    // From one port, so that all of it is one flow.
    const flow = async () => (await client.call<string[]>('udp', '10.0.1.2', 80, 1, 40_001))[0]!;
    const before = await flow();
    const other = before.startsWith('c3') ? [] : [3];
    assert.equal(await flow(), before);
    const gone = other.length > 0 ? 3 : Number(before[1]);
    const left = [1, 2, 3].filter((task) => task !== gone);
    await routers.apply({
      networkServices: [service([1, 2, 3], [gone])],
      services: [published([1, 2, 3], [gone])],
    });
    assert.notEqual((await flow()).slice(0, 2), `c${gone}`);
    const names = (await client.times(OFTEN, 'tcp', '10.0.1.2', 80)).map((one) => one.slice(0, 2));
    assert.deepEqual(
      names,
      left.map((task) => `c${task}`),
    );
    assert.equal(await client.call('say', key), 'c3 10.0.1.11');
    await client.call('drop', key);
    await routers.apply({
      networkServices: [service([1, 2, 3])],
      services: [published([1, 2, 3])],
    });
  });
  it('repair what somebody takes away, and what flows goes on', async () => {
    await at['c1']!.call('hold', 'long', '10.0.1.12', 80);
    const inside = routers.inside(1);
    const spoiled = [
      [hosts.name(1), 'nft flush ruleset'],
      [inside, 'nft flush ruleset'],
      [inside, 'nft delete element ip swarm sw_vips "{ 10.0.1.2 }"'],
      [inside, 'nft insert rule ip swarm sw_pass drop'],
      [inside, 'ip route flush table main'],
      [
        inside,
        'ip rule flush; ip rule add pref 0 lookup local; ip rule add pref 32766 lookup main',
      ],
      [inside, 'ip link del swx2'],
      [inside, 'ip link del swing'],
      [inside, 'ip link set swe1 down'],
      [hosts.name(1), `ip link del swu${routers.short(1)}`],
    ] as const;
    for (const [place, line] of spoiled) {
      await hosts.must(place, line);
      const [first] = await repairs();
      assert.ok(first! > 0, `${line} was noticed`);
      assert.deepEqual(await repairs(), [0, 0, 0], `${line} was repaired`);
      const seen = await at['c1']!.times(OFTEN, 'tcp', '10.0.1.2', 80);
      assert.equal(seen.length, 3, `${line}: ${seen}`);
      const from = await outside.times(OFTEN, 'tcp', hosts.address(1), 8088);
      assert.deepEqual(from, all('192.168.99.254'), line);
    }
    assert.equal(await at['c1']!.call('say', 'long'), 'c2 10.0.1.11');
  });
  it('are taken up by the next daemon without a change, and open connections go on', async () => {
    await at['c1']!.call('hold', 'over', '10.0.1.2', 80);
    const links = () => hosts.must(routers.inside(1), 'ip -o link | grep -o "sw[a-z0-9]*"');
    const before = await links();
    await routers.restart(1);
    assert.equal(await links(), before);
    assert.deepEqual(await repairs(), [0, 0, 0]);
    assert.match(await at['c1']!.call('say', 'over'), /^c\d/);
  });
  it('work where a firewall forwards nothing by default', async () => {
    await hosts.must(hosts.name(1), 'iptables -w -P FORWARD DROP');
    await repairs();
    const from = all('192.168.99.254');
    assert.deepEqual(await outside.times(OFTEN, 'tcp', hosts.address(1), 8088), from);
    assert.equal(await at['c1']!.call('tcp', '192.168.99.254', 80), `outside ${hosts.address(1)}`);
    await hosts.must(hosts.name(1), 'iptables -w -P FORWARD ACCEPT');
  });
  it('forward nothing of the host but their own where forwarding was off', async () => {
    const far = '203.0.113.1';
    await hosts.must(hosts.name(1), `ip addr add ${far}/32 dev lo`);
    await (await hosts.peer(hosts.name(1), 'far')).call('serve', 81);
    await hosts.must(hosts.name(3), `ip route add ${far}/32 via ${hosts.address(1)}`);
    await hosts.must(
      hosts.name(3),
      'for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done',
    );
    await hosts.must(hosts.outside, `ip route add ${far}/32 via ${hosts.address(3)}`);
    assert.equal(await outside.call('tcp', far, 81), 'nothing');
    // Its IPv6 was forwarded before, and is.
    const table = (family: string): Promise<string> =>
      hosts.must(hosts.name(3), `nft list table ${family} swarm_${routers.short(3)}`);
    assert.match(await table('ip'), /sw_only_ours/);
    assert.doesNotMatch(await table('ip6'), /sw_only_ours/);
    // As where another program that forwards has come.
    await hosts.must(
      hosts.name(3),
      'iptables -w -N DOCKER-USER; iptables -w -A FORWARD -j DOCKER-USER',
    );
    await repairs();
    assert.equal(await outside.call('tcp', far, 81), 'far 192.168.99.254');
  });
  it('leave nothing behind', async () => {
    const name = hosts.name(2);
    const announced = 'cat /proc/sys/net/ipv6/conf/eth0/accept_ra';
    assert.equal(await hosts.must(name, announced), '2\n');
    await routers.routers[1]!.destroy();
    assert.equal(await hosts.must(name, announced), '1\n');
    await until('the end of its links', async () => {
      const links = await hosts.must(name, 'ip -o link | grep -c sw || true');
      return links.trim() === '0' || undefined;
    });
    assert.equal(await hosts.must(name, 'nft list tables'), '');
    assert.equal(
      (await hosts.must(name, 'ip -o route show table all | grep -c 240. || true')).trim(),
      '0',
    );
    assert.equal((await hosts.must(name, 'cat /proc/sys/net/ipv4/ip_forward')).trim(), '0');
    assert.equal(
      (await hosts.must(name, 'cat /proc/sys/net/ipv6/conf/all/forwarding')).trim(),
      '0',
    );
    assert.equal((await hosts.sh(name, `ls /run/netns/${routers.inside(2)}`)).code, 2);
    assert.equal(await hosts.must(name, LIBERAL), '0\n');
  });
  it('leave the host forwarding where another program that forwards has come', async () => {
    assert.equal(await hosts.must(hosts.name(3), LIBERAL), '1\n');
    await routers.routers[2]!.destroy();
    assert.equal(await hosts.must(hosts.name(3), 'cat /proc/sys/net/ipv4/ip_forward'), '1\n');
    assert.equal(await hosts.must(hosts.name(3), LIBERAL), '0\n');
  });
});
