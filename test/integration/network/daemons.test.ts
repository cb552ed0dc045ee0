import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { overlaps, parsePrefix } from '../../../shared/prefix.ts';
import { encryptedPort, tunnelPort } from '../../../worker/network/router/tunnel-names.ts';
import { IMAGE, type Inhabited, OverlayCluster, PORT } from '../../support/overlay/cluster.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import type { Peer } from './hosts.ts';
import { DATA_PORT } from './routers.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv', 'wg', 'wireguard-go']);
/** Enough that no backend of three is left out: one in ten million. */
const OFTEN = 40;
const OUTSIDE = '192.168.99.254';
const ROUTED = '10.7.0.32/28';
/** Six usable addresses a subnet. */
const POOL = ['--default-addr-pool', '10.7.0.0/16', '--default-addr-pool-mask-length', '29'];

describe('containers on three nodes in the overlay tier', { skip: missing || false }, () => {
  let cluster: OverlayCluster;
  let outside: Peer;
  const tasks: { [service: string]: Inhabited[] } = {};

  before(async () => {
    cluster = await OverlayCluster.up(3, POOL, { without: { n3: ['wireguard-go'] } });
    outside = await cluster.outside();
    await outside.call('serve', PORT);
    await cluster.type('network', 'create', '--ipv6', 'front');
    await cluster.type('network', 'create', '--internal', 'back');
    // The pool's next subnets: managers hear of the route while the others run.
    await cluster.sh(cluster.node(2), `ip route add ${ROUTED} via ${OUTSIDE}`);
    const both = ['--network', 'front', '--network', 'name=back,alias=inner'];
    const published = ['-p', `8088:${PORT}`, '-p', `8088:${PORT}/udp`];
    await cluster.create('web', ['--mode', 'global', ...both, ...published]);
    tasks['web'] = await cluster.inhabit('web', 3);
  });
  after(() => cluster?.down());

  const web = (host: number): Inhabited => tasks['web']![host - 1]!;
  const here = (host: number): string => cluster.node(host).ip;
  const all = (client: string, service = 'web'): string[] =>
    tasks[service]!.map(({ name }) => `${name} ${client}`);
  /** Until every backend answers, and nobody else. */
  function untilSeen(
    expected: readonly string[],
    client: Peer,
    ...[call, host, port]: readonly [string, string | undefined, number]
  ): Promise<boolean> {
    return until(`${expected} at ${host}:${port}`, async () => {
      const seen = await client.times(OFTEN, call, host, port);
      if (String(seen) === String(expected)) return true;
      throw new Error(`${call} ${host}:${port}: ${seen}`);
    });
  }
  const on = (host: number): string[] => ['--constraint', `node.hostname==n${host}`];

  it('say that they carry networks', async () => {
    for (const { status } of await cluster.api().nodes()) {
      assert.equal(status?.description?.features['network'], 'overlay');
      assert.equal(status?.description?.mtu, 1_500);
    }
    // Idle connections are kept for five days.
    const seconds = 'cat /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established';
    for (const node of cluster.nodes)
      assert.ok(Number(await cluster.inRouter(node, seconds)) >= 432_000, node.name);
  });
  it('reach each other over TCP and UDP, by both families, with their own addresses', async () => {
    const [front, front6, back] = web(2).addresses;
    const [from, from6, inner] = web(1).addresses;
    await untilSeen([`web.n2 ${from}`], web(1).peer, 'tcp', front, PORT);
    assert.deepEqual(await web(1).peer.call('udp', front, PORT), [`web.n2 ${from}`]);
    assert.equal(await web(1).peer.call('tcp', front6, PORT), `web.n2 ${from6}`);
    assert.equal(await web(1).peer.call('tcp', back, PORT), `web.n2 ${inner}`);
  });
  it('reach a service by its virtual address on each network, also a backend its own', async () => {
    const { front, back } = await cluster.virtual('web');
    for (const [address, at] of [[front, 0] as const, [back, 2] as const]) {
      const from = web(1).addresses[at];
      const seen = [`web.n1 ${address}`, `web.n2 ${from}`, `web.n3 ${from}`];
      await untilSeen(seen, web(1).peer, 'tcp', address, PORT);
      await untilSeen(seen, web(1).peer, 'udp', address, PORT);
    }
  });
  it('answer at a published port of every node, which keeps the address of clients', async () => {
    for (const host of [1, 2, 3]) {
      await untilSeen(all(OUTSIDE), outside, 'tcp', here(host), 8_088);
      await untilSeen(all(OUTSIDE), outside, 'udp', here(host), 8_088);
      await untilSeen(all('fd99::254'), outside, 'tcp', cluster.hosts.address6(host), 8_088);
    }
  });
  it('answer at a published port of the node itself, and of any node to containers', async () => {
    const own = await cluster.hosts.peer(cluster.hosts.name(2), 'host2');
    for (const address of ['127.0.0.1', here(2)]) {
      await untilSeen(all(here(2)), own, 'tcp', address, 8_088);
      await untilSeen(all(here(2)), own, 'udp', address, 8_088);
    }
    const [from] = web(3).addresses;
    const seen = [`web.n1 ${from}`, `web.n2 ${from}`, `web.n3 ${here(1)}`];
    await untilSeen(seen, web(3).peer, 'tcp', here(1), 8_088);
  });
  it('find nobody on a network that they are not on, and no way out of an internal one', async () => {
    await cluster.create('inner', ['--network', 'back', ...on(1)]);
    const [{ peer, addresses }] = (await cluster.inhabit('inner', 1)) as [Inhabited];
    await untilSeen([`web.n3 ${addresses[0]}`], peer, 'tcp', web(3).addresses[2], PORT);
    assert.equal(await peer.call('tcp', web(3).addresses[0], PORT), 'EHOSTUNREACH');
    assert.equal(await peer.call('tcp', OUTSIDE, PORT), 'EHOSTUNREACH');
    assert.equal(await web(1).peer.call('tcp', OUTSIDE, PORT), `outside ${here(1)}`);
  });
  it('publish on their own node, at one address, and for one client one task', async () => {
    const hosted = ['-p', `mode=host,published=8090,target=${PORT}`];
    const bound = ['-p', `${here(1)}:8091:${PORT}`, '-p', `127.0.0.1:8092:${PORT}`];
    const named = ['-p', `lo:8094:${PORT}`, '-p', `node.labels.door:8095:${PORT}`];
    await cluster.create('hosted', [...hosted, ...bound, ...named, ...on(2)]);
    const sticky = ['--replicas', '3', '--affinity', 'client', '--network', 'back'];
    await cluster.create('sticky', [...sticky, '-p', `8093:${PORT}`]);
    tasks['hosted'] = await cluster.inhabit('hosted', 1);
    tasks['sticky'] = await cluster.inhabit('sticky', 3);
    await untilSeen(all(OUTSIDE, 'hosted'), outside, 'tcp', here(2), 8_090);
    assert.equal(await outside.call('tcp', here(1), 8_090), 'ECONNREFUSED');
    await untilSeen(all(OUTSIDE, 'hosted'), outside, 'tcp', here(1), 8_091);
    assert.equal(await outside.call('tcp', here(3), 8_091), 'ECONNREFUSED');
    const own = await cluster.hosts.peer(cluster.hosts.name(3), 'host3');
    await untilSeen(all(here(3), 'hosted'), own, 'tcp', '127.0.0.1', 8_092);
    assert.equal(await outside.call('tcp', here(3), 8_092), 'ECONNREFUSED');
    // Every node has the interface; no node has the label yet.
    await untilSeen(all(here(3), 'hosted'), own, 'tcp', '127.0.0.1', 8_094);
    assert.equal(await outside.call('tcp', here(3), 8_094), 'ECONNREFUSED');
    assert.equal(await outside.call('tcp', here(1), 8_095), 'ECONNREFUSED');
    await cluster.type('node', 'update', '--label-add', `door=${here(1)}`, 'n1');
    await untilSeen(all(OUTSIDE, 'hosted'), outside, 'tcp', here(1), 8_095);
    assert.equal(await outside.call('tcp', here(3), 8_095), 'ECONNREFUSED');

    const { back } = await cluster.virtual('sticky');
    for (const call of ['tcp', 'udp'])
      assert.equal((await web(1).peer.times(OFTEN, call, back, PORT)).length, 1, call);
    const one = await outside.times(OFTEN, 'tcp', here(1), 8_093);
    assert.equal(one.length, 1);
    assert.deepEqual(await outside.times(OFTEN, 'tcp', here(3), 8_093), one);
    await cluster.type('service', 'rm', 'sticky', 'hosted', 'inner');
  });
  it('publish ranges and ports of the cluster’s choice, and leave what others have', async () => {
    // Something else has one of them on the second node.
    const [own, port] = [await cluster.hosts.peer(cluster.hosts.name(2), 'other'), 8_101];
    await own.call('serve', port);
    const published = ['-p', '8100-8101:8000-8001', '-p', String(PORT)];
    await cluster.create('ranged', ['--network', 'back', ...published, ...on(1)]);
    tasks['ranged'] = await cluster.inhabit('ranged', 1);
    const [one] = tasks['ranged'];
    await one!.peer.call('serve', PORT + 1);
    const ports = (await cluster.api().service('ranged')).state!.ports;
    const dynamic = ports[2]!.published;
    assert.ok(dynamic >= 30_000 && dynamic <= 32_767, `${dynamic}`);
    for (const [host, published] of [
      [1, port],
      [2, 8_100],
      [3, port],
      [2, dynamic],
    ] as const)
      await untilSeen(all(OUTSIDE, 'ranged'), outside, 'tcp', here(host), published);
    assert.equal(await outside.call('tcp', here(2), port), `other ${OUTSIDE}`);
    const told = new RegExp(
      `n2: cannot listen on .*:${port}/tcp: it is taken by node \\(pid \\d+\\)`,
    );
    await until('why to name the owner', async () => {
      const text = await cluster.type('why', 'ranged');
      if (told.test(text)) return true;
      throw new Error(text);
    });
    const again = ['service', 'create', '-d', '--name', 'late', '-p', '8100:80', IMAGE];
    const refused = await cluster.swarm(cluster.node(1), again);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /ranged/);
    await cluster.type('service', 'rm', 'ranged');
  });
  it('deliver what they wrote before they ended, to a client that is slow', async () => {
    const bytes = 512 << 10;
    // The server becomes the program that writes: what the kernel still has is nobody's in the end.
    const program = `exec nc -l -p 80 -e dd if=/dev/zero bs=${bytes} count=1`;
    const once = ['--restart-condition', 'none', '-p', '8098:80', ...on(2)];
    await cluster.create('last', once, { command: ['sh', '-c', program] });
    await cluster.api().untilRunning('last', 1);
    const slowly = 'for i in $(seq 16); do head -c 32768; sleep 0.2; done; cat';
    const line = `timeout 20 busybox nc ${here(1)} 8098 < /dev/null | (${slowly}) | wc -c`;
    assert.equal((await cluster.hosts.must(cluster.hosts.outside, line)).trim(), String(bytes));
  });
  it('have a second subnet when the first is full, and dnsrr has no virtual address', async () => {
    const flags = ['--network', 'front', '--endpoint-mode', 'dnsrr', '--replicas', '4'];
    await cluster.create('many', flags);
    const many = await cluster.inhabit('many', 4);
    assert.deepEqual(await cluster.virtual('many'), {});
    const subnets = new Set(many.map(({ addresses }) => addresses[0]!.replace(/\.\d+$/, '')));
    const first = many.map(({ addresses }) => addresses[0]!);
    const isFar = (address: string): boolean => address > web(1).addresses[0]!;
    assert.ok(first.some(isFar), `${[...subnets]}: ${first}`);
    for (const { name, addresses } of many) {
      await untilSeen([`${name} ${web(1).addresses[0]}`], web(1).peer, 'tcp', addresses[0], PORT);
    }
    for (const { peer, addresses } of many.slice(0, 1))
      await untilSeen([`web.n2 ${addresses[0]}`], peer, 'tcp', web(2).addresses[0], PORT);
    await cluster.type('service', 'rm', 'many');
  });
  it('are on networks clear of what a node routes since they run, each node with the same rows', async () => {
    const inside = ['network', 'create', '--subnet', '10.7.0.40/29', 'taken'];
    await until('the route to be told', async () => {
      const nodes = await cluster.api().nodes();
      const told = nodes.some(({ status }) => status?.description?.routes.includes(ROUTED));
      return told || undefined;
    });
    const refused = await cluster.swarm(cluster.node(1), inside);
    assert.match(refused.stderr, new RegExp(`overlaps ${ROUTED}, which n2 routes`));
    for (const name of ['one', 'two', 'three']) await cluster.type('network', 'create', name);
    const networks = await cluster.api().networks();
    const subnets = networks.flatMap(({ state }) => (state?.subnets ?? []).map(({ cidr }) => cidr));
    assert.ok(subnets.length > 4, String(subnets));
    const routed = parsePrefix(ROUTED)!;
    assert.deepEqual(
      subnets.filter((text) => overlaps(parsePrefix(text)!, routed)),
      [],
    );
    await cluster.type('network', 'rm', 'one', 'two', 'three');

    const shown = await cluster.type('network', 'inspect', '--pretty', '--verbose', 'front');
    const { front } = await cluster.virtual('web');
    for (const part of [front!, ...[1, 2, 3].map((host) => web(host).addresses[0]!)])
      assert.ok(shown.includes(part), `${part} in ${shown}`);
    const digests = [...shown.matchAll(/^Node n\d: current, index \d+, digest (\w+)$/gm)];
    assert.deepEqual([digests.length, new Set(digests.map(([, digest]) => digest)).size], [3, 1]);
  });
  it('are all well in the eyes of the doctor, who asks every node', async () => {
    await until('nothing to be on its way', async () => {
      const { code, stdout } = await cluster.swarm(cluster.node(2), ['network', 'doctor']);
      if (code === 0 && (stdout.match(/current +2 of 2 +as it should be/g) ?? []).length === 3)
        return true;
      throw new Error(`${code}: ${stdout}`);
    });
    const ran = await cluster.swarm(cluster.node(1), [
      'network',
      'doctor',
      'n3',
      '--format',
      'json',
    ]);
    const { Nodes: nodes } = JSON.parse(ran.stdout) as { Nodes: { NodeName: string }[] };
    assert.deepEqual(
      nodes.map((node) => node.NodeName),
      ['n3'],
    );
  });
  it('leave processes behind the proxy, which are on no network', async () => {
    const process = ['service', 'create', '-q', '--settle', '0s', '--process'];
    const refused = await cluster.swarm(cluster.node(1), [
      ...process,
      '--network',
      'front',
      'hello',
    ]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /the host's own network/);
    await cluster.type(...process, '--user', 'root', '--name', 'hi', '-p', '8095:80', 'hello');
    for (const host of [1, 2, 3])
      assert.match(
        await cluster.hosts.must(
          cluster.hosts.outside,
          `busybox wget -qO- http://${here(host)}:8095/`,
        ),
        /Hello from hi\.1/,
      );
    const text = await cluster.type('exec', web(1).taskId, 'wget', '-qO-', `${here(1)}:8095`);
    assert.match(text, /Hello from hi\.1/);
    await cluster.type('service', 'rm', 'hi');
  });
  it('encrypt what an encrypted network carries, and run nothing of it where they cannot', async () => {
    await cluster.type('network', 'create', '--opt', 'encrypted', 'vault');
    const flags = ['--network', 'vault', '--replicas', '2', '--replicas-max-per-node', '1'];
    await cluster.create('safe', flags);
    await cluster.create('kept', ['--network', 'vault', ...on(3)]);
    tasks['safe'] = await cluster.inhabit('safe', 2);
    const [one, two] = tasks['safe'] as [Inhabited, Inhabited];
    assert.deepEqual([one.node, two.node].sort(), ['n1', 'n2']);
    for (const host of [1, 2]) await cluster.sh(cluster.node(host), CAPTURE);
    const answer = `${two.name} ${one.addresses[0]}`;
    await untilSeen([answer], one.peer, 'tcp', two.addresses[0], PORT);
    assert.deepEqual(await one.peer.call('udp', two.addresses[0], PORT), [answer]);
    assert.equal(
      await cluster.type('exec', one.taskId, 'cat', '/sys/class/net/eth0/mtu'),
      '1370\n',
    );
    for (const host of [1, 2]) {
      const { tunnel, plain } = await left(host);
      assert.ok(tunnel > OFTEN, `${tunnel} through the tunnel of n${host}`);
      assert.equal(plain, 0, `in plain from n${host}`);
    }
    await untilSeen(
      [`web.n2 ${web(1).addresses[0]}`],
      web(1).peer,
      'tcp',
      web(2).addresses[0],
      PORT,
    );
    assert.ok((await left(1)).plain > OFTEN, 'what is not encrypted is seen');

    const why = await cluster.type('why', 'kept');
    assert.match(why, /no encrypted networks \(.*wireguard-go is not installed\)/);
    const ran = await cluster.swarm(cluster.node(1), ['network', 'doctor', '--no-probes']);
    assert.match(ran.stdout, /n3: it runs no tasks of encrypted networks: .*not installed/);
  });
  it('make a dead tunnel anew without being asked, and send nothing in plain meanwhile', async () => {
    const [one, two] = tasks['safe'] as [Inhabited, Inhabited];
    const node = cluster.nodes.find(({ name }) => name === one.node)!;
    const device = `swg${cluster.short(node)}`;
    const before = await left(node.host);
    await cluster.sh(node, `rm /var/run/wireguard/${device}.sock`);
    await until('the tunnel to be dead', async () => {
      const shown = await cluster.sh(node, `timeout 5 wg show ${device} public-key || echo dead`);
      return shown.includes('dead') || undefined;
    });
    await untilSeen([`${two.name} ${one.addresses[0]}`], one.peer, 'tcp', two.addresses[0], PORT);
    assert.equal((await left(node.host)).plain, before.plain);
    await cluster.type('service', 'rm', 'safe', 'kept');
  });

  /** Datagrams of networks that left a host: in the tunnel, and others. */
  async function left(host: number): Promise<{ readonly tunnel: number; readonly plain: number }> {
    const text = await cluster.sh(cluster.node(host), 'nft list table inet capture');
    const count = (name: string): number =>
      Number(new RegExp(`counter ${name} {\\s+packets (\\d+)`).exec(text)?.[1]);
    return { tunnel: count('sealed'), plain: count('plain') };
  }
});

/** Counts what leaves a host. */
const CAPTURE = `nft -f - <<END
table inet capture {
  counter sealed { }
  counter plain { }
  chain out {
    type filter hook postrouting priority 300;
    oifname "eth0" udp dport ${tunnelPort(DATA_PORT)} counter name "sealed"
    oifname "eth0" udp dport { ${DATA_PORT}, ${encryptedPort(DATA_PORT)} } counter name "plain"
  }
}
END`;
