import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { TestDocker } from '../../support/docker.ts';
import { agreed } from '../../support/overlay/checker.ts';
import { type Inhabited, OverlayCluster, PORT } from '../../support/overlay/cluster.ts';
import { isRunning } from '../../support/processes.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import type { Peer } from './hosts.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv', 'dockerd']);
/** One pass, found by what watches the kernel, on a machine with little left to give. */
const PASS_MS = 5_000;
const OUTSIDE = '192.168.99.254';

describe('a node whose network somebody disturbs', { skip: missing || false }, () => {
  let cluster: OverlayCluster;
  let outside: Peer;
  /** One on each node. */
  let web: Inhabited[];

  before(async () => {
    // The others of these tests send over IPv4.
    cluster = await OverlayCluster.up(3, [], { overIpv6: true });
    outside = await cluster.outside();
    await outside.call('serve', PORT);
    await cluster.type('network', 'create', 'front');
    const flags = ['--mode', 'global', '--network', 'front', '-p', `8088:${PORT}`];
    await cluster.create('web', flags);
    const process = ['service', 'create', '-q', '-d', '--process', '--user', 'root'];
    await cluster.type(...process, '--name', 'hi', '-p', '8095:80', 'hello');
    web = await cluster.inhabit('web', 3);
    await cluster.api().untilRunning('hi', 1);
    await agreed(cluster, cluster.node(1), PASS_MS);
    const devices = await cluster.inRouter(cluster.node(1), 'ip -d link show type vxlan');
    assert.equal(devices.match(/ local fd99::11 /g)?.length, 2);
    const { front } = await cluster.virtual('web');
    await web[0]!.peer.call('hold', 'direct', web[1]!.addresses[0], PORT);
    await web[0]!.peer.call('hold', 'virtual', front, PORT);
    await outside.call('hold', 'published', cluster.node(1).ip, 8_088);
  });
  after(() => cluster?.down());

  const links = (): Promise<string> =>
    cluster.inRouter(cluster.node(1), 'ip -o link | cut -d: -f1,2 | sort');
  async function flowsGoOn(): Promise<void> {
    for (const key of ['direct', 'virtual'])
      assert.match(await web[0]!.peer.call('say', key), /^web\.n\d 10\./, key);
    assert.match(await outside.call('say', 'published'), /^web\.n\d 192\.168\.99\.254$/);
  }
  async function everythingAnswers(): Promise<void> {
    const all = web.map(({ name }) => `${name} ${OUTSIDE}`);
    await until('published ports', async () => {
      const seen = await outside.times(40, 'tcp', cluster.node(1).ip, 8_088);
      return String(seen) === String(all) || undefined;
    });
    assert.equal(
      await web[0]!.peer.call('tcp', OUTSIDE, PORT),
      `outside ${cluster.node(1).ip}`,
      'the way out',
    );
  }

  it('goes on while its daemon is killed, and the next one finds nothing to do', async () => {
    const before = await links();
    await cluster.kill(cluster.node(1));
    await everythingAnswers();
    await cluster.start(cluster.node(1));
    await flowsGoOn();
    assert.equal(await links(), before);
    await agreed(cluster, cluster.node(1), PASS_MS);
    assert.doesNotMatch(cluster.log(cluster.node(1)), /the network differed/);
  });
  it('has netd again when that is killed, and containers do not notice', async () => {
    const pid = cluster.netd(cluster.node(1))!;
    process.kill(pid, 'SIGKILL');
    await until('its end', () => !isRunning(pid) || undefined);
    await everythingAnswers();
    await flowsGoOn();
    await until('another one', () => cluster.netd(cluster.node(1)));
    await until('the process behind it', async () => {
      const line = `busybox wget -qO- http://${cluster.node(1).ip}:8095/`;
      return (
        /Hello from hi/.test(await cluster.hosts.must(cluster.hosts.outside, line)) || undefined
      );
    });
  });
  const spoiled: readonly (readonly ['host' | 'router', string])[] = [
    ['host', 'nft flush ruleset'],
    ['router', 'nft flush ruleset'],
    ['router', 'ip route flush table main proto 83'],
    ['router', 'ip neigh flush nud permanent'],
    ['router', 'ip link del swing'],
    ['router', 'ip link del $(ip -o link | grep -o "swx[0-9]*" | head -1)'],
    ['router', 'ip link set $(ip -o link | grep -o "swe[0-9]*" | head -1) down'],
    ['host', 'ip link del $(ip -o link | grep -o "swu[a-z0-9]*" | head -1)'],
    ['host', 'ip route del 240.0.0.0/8'],
    ['host', 'echo 0 >/proc/sys/net/ipv4/ip_forward'],
  ];
  for (const [place, line] of spoiled)
    it(`is right again after "${line}" in the ${place}`, async (t) => {
      const node = cluster.node(1);
      const startMs = performance.now();
      await (place === 'host' ? cluster.sh(node, line) : cluster.inRouter(node, line));
      await everythingAnswers();
      await agreed(cluster, node, PASS_MS);
      t.diagnostic(`${Math.round(performance.now() - startMs)} ms`);
      await flowsGoOn();
    });

  it('and a dockerd that comes and goes do not disturb each other', async () => {
    const node = cluster.node(1);
    const docker = await TestDocker.start({ namespace: cluster.hosts.name(1), network: true });
    try {
      assert.match(await cluster.sh(node, 'iptables -w -S'), /-N DOCKER-USER/);
      // As it does itself where forwarding was off.
      await cluster.sh(node, 'iptables -w -P FORWARD DROP');
      await everythingAnswers();
      await flowsGoOn();
    } finally {
      await docker.stop();
    }
    await everythingAnswers();
    await flowsGoOn();
    await agreed(cluster, node, PASS_MS);
  });
  it('leaves no trace when it leaves', async () => {
    const node = cluster.node(3);
    const name = cluster.hosts.name(3);
    const short = cluster.short(node);
    web[2]!.peer.end();
    await cluster.must(node, ['leave', '--force']);
    assert.equal(await cluster.sh(node, 'ip -o link | grep -c " sw" || true'), '0\n');
    assert.equal(await cluster.sh(node, 'nft list tables'), '');
    assert.equal(await cluster.sh(node, 'ip -o route show table all | grep -c 240 || true'), '0\n');
    assert.equal(await cluster.sh(node, 'cat /proc/sys/net/ipv4/ip_forward'), '0\n');
    assert.equal(await cluster.sh(node, `ls /run/netns | grep -c ${short} || true`), '0\n');
    assert.equal(await cluster.sh(node, `ls /run | grep -c ${await inode(name)} || true`), '0\n');
    const left = web.slice(0, 2).map((each) => `${each.name} ${OUTSIDE}`);
    await until('the others to know', async () => {
      const seen = await outside.times(40, 'tcp', cluster.node(1).ip, 8_088);
      return String(seen) === String(left) || undefined;
    });
  });
  it('carries networks when its address comes after its daemon, without another restart', async () => {
    const node = cluster.node(2);
    const address = `${cluster.hosts.address6(node.host)}/64 dev eth0`;
    const told = (): Promise<string> => cluster.must(node, ['info']);
    await cluster.kill(node);
    await cluster.sh(node, `ip addr del ${address}`);
    await cluster.start(node);
    const reason = /^Network: +proxy \(fd99::12 is no address of this machine/m;
    await until('the reason', async () => reason.test(await told()) || undefined);
    await cluster.sh(node, `ip addr add ${address} nodad`);
    await until(
      'the overlay tier',
      async () => /^Network: +overlay$/m.test(await told()) || undefined,
    );
    await cluster.create('late', ['--network', 'front', '--constraint', 'node.hostname==n2']);
    const [late] = await cluster.inhabit('late', 1);
    const answer = await web[0]!.peer.call('tcp', late!.addresses[0], PORT);
    assert.equal(answer, `late.1 ${web[0]!.addresses[0]}`);
  });
  /** Of a host's network namespace, which names what daemons keep for it under /run. */
  const inode = async (name: string): Promise<string> =>
    (await cluster.hosts.must(name, 'stat -Lc %i /proc/self/ns/net')).trim();
});
