import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { resolversIn } from '../../../worker/network/names/host-resolvers.ts';
import { type Inhabited, OverlayCluster, PORT } from '../../support/overlay/cluster.ts';
import { assertWithin } from '../../support/pace.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import type { Peer } from './hosts.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
const OUTSIDE = '192.168.99.254';
/** How old a name may be on a node that has its managers again. */
const STALE_MS = 5_000;

describe('names of containers on three nodes', { skip: missing || false }, () => {
  let cluster: OverlayCluster;
  /** One on each node. */
  let web: Inhabited[];
  let inner: Inhabited;

  const resolve = (peer: Peer, name: string, type = 'A'): Promise<string | string[]> =>
    peer.call('resolve', name, type);
  const on = (host: number): string[] => ['--constraint', `node.hostname==n${host}`];
  /** Until a name stands for these on every node, and how long that took. */
  async function everywhere(name: string, expected: string | readonly string[]): Promise<number> {
    const beganMs = performance.now();
    await Promise.all(
      web.map(({ peer, name: from }) =>
        until(`${name} for ${from}`, async () => {
          const seen = await resolve(peer, name);
          if (String(seen) === String(expected)) return true;
          throw new Error(`${name} is ${seen}, not ${expected}`);
        }),
      ),
    );
    return performance.now() - beganMs;
  }
  const addressesOf = (list: readonly Inhabited[]): string[] =>
    list.map(({ addresses }) => addresses[0]!).sort();

  before(async () => {
    cluster = await OverlayCluster.up(3);
    const outside = await cluster.outside();
    await outside.call('resolver', OUTSIDE, 7);
    // What programs of this machine ask, on each host.
    const [resolver] = resolversIn(readFileSync('/etc/resolv.conf', 'utf8'));
    for (const { host } of cluster.nodes) {
      const name = cluster.hosts.name(host);
      if (!resolver!.startsWith('127.'))
        await cluster.hosts.must(name, `ip addr add ${resolver}/32 dev lo`);
      const own = await cluster.hosts.peer(name, `host${host}`);
      await own.call('resolver', resolver, 113);
    }
    await cluster.type('network', 'create', 'front');
    await cluster.type('network', 'create', '--internal', 'back');
    await cluster.create('web', ['--mode', 'global', '--network', 'name=front,alias=www']);
    await cluster.create('inner', ['--network', 'back', ...on(1)]);
    web = await cluster.inhabit('web', 3);
    [inner] = (await cluster.inhabit('inner', 1)) as [Inhabited];
  });
  after(() => cluster?.down());

  it('are those of services, tasks and aliases, on every node', async () => {
    const { front } = await cluster.virtual('web');
    for (const name of ['web', 'web.front', 'www', 'WWW.Front']) await everywhere(name, [front!]);
    await everywhere('tasks.web', addressesOf(web));
    for (const { taskId, node, addresses } of web) {
      const id = cluster.id(cluster.nodes.find((each) => each.name === node)!);
      await everywhere(`web.${id}.${taskId}`, [addresses[0]!]);
    }
    assert.deepEqual(await resolve(web[0]!.peer, front!, 'PTR'), ['web.front']);
  });
  it('are used by programs in containers as they are', async () => {
    const words = ['exec', web[0]!.taskId, 'sh', '-c', `echo ? | nc -w 3 web ${PORT}`];
    assert.match(await cluster.type(...words), /^web\.n\d 10\./);
    const { front } = await cluster.virtual('web');
    const found = await cluster.type('exec', web[1]!.taskId, 'busybox', 'nslookup', 'web');
    assert.match(found, new RegExp(`Address: ${front}`));
  });
  it('are those of the own networks', async () => {
    assert.equal(await resolve(web[0]!.peer, 'inner'), 'ENOTFOUND');
    assert.equal(await resolve(inner.peer, 'web'), 'ENOTFOUND');
    assert.equal((await resolve(inner.peer, 'inner')).length, 1);
  });
  it('of the world outside come from the host, or from whom the task asks', async () => {
    await everywhere('www.example', ['203.0.113.1']);
    assert.equal(await resolve(inner.peer, 'www.example'), 'ENOTFOUND');
    await cluster.create('far', ['--network', 'front', '--dns', OUTSIDE, ...on(2)]);
    const [{ peer }] = (await cluster.inhabit('far', 1)) as [Inhabited];
    assert.deepEqual(await resolve(peer, 'www.example'), ['203.0.7.1']);
    assert.deepEqual(await resolve(peer, 'tasks.web'), addressesOf(web));
  });
  it('stand for tasks that are ready', async (t) => {
    const ready = ['--ready-tcp', ':9000', '--ready-interval', '100ms'];
    const flags = ['--replicas', '2', '--network', 'front', '--endpoint-mode', 'dnsrr', ...ready];
    await cluster.create('slow', flags);
    const slow = await cluster.inhabit('slow', 2);
    assert.equal(await resolve(web[0]!.peer, 'slow'), 'ENODATA');
    await slow[0]!.peer.call('serve', 9_000);
    const ms = await everywhere('slow', [slow[0]!.addresses[0]!]);
    t.diagnostic(`${Math.round(ms)} ms from listening to the name on every node`);
    await slow[1]!.peer.call('serve', 9_000);
    await everywhere('slow', addressesOf(slow));
    slow[0]!.peer.end();
    await everywhere('tasks.slow', [slow[1]!.addresses[0]!]);
    await cluster.type('service', 'rm', 'slow');
    await everywhere('slow', 'ENOTFOUND');
  });
  it('are answered while a daemon is killed, and when netd is', async () => {
    const node = cluster.node(1);
    await cluster.kill(node);
    assert.deepEqual(await resolve(web[0]!.peer, 'tasks.web'), addressesOf(web));
    await cluster.start(node);
    process.kill(cluster.netd(node)!, 'SIGKILL');
    await everywhere('tasks.web', addressesOf(web));
  });
  it('are right again after a partition in which the leader changed', async (t) => {
    await cluster.create('old', ['--network', 'front', ...on(2)]);
    const [old] = (await cluster.inhabit('old', 1)) as [Inhabited];
    await everywhere('tasks.old', old.addresses);
    const leader = await leaderOf();
    await cluster.cut(leader);
    const other = cluster.others(leader)[0]!;
    await until('another leader', async () => {
      const removed = await cluster.swarm(other, ['service', 'rm', 'old']);
      return removed.code === 0 || undefined;
    });
    await cluster.heal(leader);
    const beganMs = performance.now();
    await until('the node to have its managers again', async () => {
      const nodes = await cluster.swarm(leader, ['node', 'ls']);
      return nodes.code === 0 || undefined;
    });
    const again = performance.now();
    await everywhere('old', 'ENOTFOUND');
    const staleMs = Math.round(performance.now() - again);
    t.diagnostic(`connected after ${Math.round(again - beganMs)} ms, right ${staleMs} ms later`);
    assertWithin(STALE_MS, staleMs, 'no name is stale');
    await everywhere('tasks.web', addressesOf(web));
  });

  async function leaderOf() {
    const nodes = await cluster.rows<{ Hostname: string; ManagerStatus: string }>(cluster.node(2), [
      'node',
      'ls',
    ]);
    const name = nodes.find((each) => each.ManagerStatus === 'Leader')?.Hostname;
    return cluster.nodes.find((each) => each.name === name) ?? cluster.node(1);
  }
});
