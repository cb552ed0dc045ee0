import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Init, NetworkService } from '../../../proto/index.ts';
import { network } from '../../../worker/network/router/rows.fixture.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import { Hosts, type Peer } from './hosts.ts';
import { HOST_RESOLVER, Resolvers } from './resolvers.ts';
import { Routers } from './routers.ts';

const missing = missingForContainers(['unshare']);

describe('names, driven by rows', { skip: missing || false }, () => {
  let hosts: Hosts;
  let routers: Routers;
  let resolvers: Resolvers;
  let directory: string;
  /** `c1` to `c3` of web on net1, one on each host; `d1` on the internal net2; `e1` with `--dns`. */
  const at: { [name: string]: Peer } = {};
  const inside: { [name: string]: string } = {};

  const place = (net: number, task: number) => ({
    networkId: `net${net}`,
    address: `10.0.${net}.${10 + task}`,
    address6: `fd00:0:0:${net}::${10 + task}`,
    aliases: [],
  });
  const service = (
    name: string,
    net: number,
    tasks: readonly { readonly task: number; readonly ready?: boolean }[],
    init: Init<NetworkService> = {},
  ): NetworkService =>
    NetworkService.create({
      id: `${name}/net${net}`,
      serviceId: name,
      serviceName: name,
      networkId: `net${net}`,
      endpoints: tasks.map(({ task, ready = true }) => ({
        taskId: `c${task}`,
        nodeId: routers.nodeId(((task - 1) % 3) + 1),
        slot: task,
        ready,
        aliases: ['www', 'web.local'],
        address: place(net, task).address,
        address6: place(net, task).address6,
      })),
      ...init,
    });
  const all = [1, 2, 3].map((task) => ({ task }));
  const virtual = { address: '10.0.1.2', address6: 'fd00:0:0:1::2' };
  const web = (tasks: readonly { readonly task: number; readonly ready?: boolean }[] = all) =>
    service('web', 1, tasks, virtual);
  const others = (): NetworkService[] => [
    service('db', 1, all),
    service('hidden', 2, [{ task: 4 }], { address: '10.0.2.2' }),
  ];
  const ask = (from: string, name: string, type = 'A') =>
    at[from]!.call<string | string[]>('resolve', name, type);

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'names-'));
    hosts = await Hosts.make(3);
    routers = new Routers(hosts);
    await routers.open();
    resolvers = new Resolvers(routers);
    await resolvers.start();
    const networks = [...routers.rows.networks, network(1), network(2, { internal: true })];
    await resolvers.apply({ networks });
    const containers: readonly (readonly [string, number, object])[] = [
      ['c1', 1, { attachments: [place(1, 1)] }],
      ['c2', 2, { attachments: [place(1, 2)] }],
      ['c3', 3, { attachments: [place(1, 3)] }],
      ['d1', 1, { attachments: [place(2, 4)] }],
      ['e1', 1, { attachments: [place(1, 5), place(2, 5)], dns: ['192.168.99.254'] }],
    ];
    for (const [name, host, init] of containers) {
      const { peer, namespace } = await routers.container(host, name, init);
      await peer.call('serve', 80);
      at[name] = peer;
      inside[name] = namespace;
    }
    for (const host of [1, 2, 3]) {
      const own = await hosts.peer(hosts.name(host), `host${host}`);
      await own.call('resolver', HOST_RESOLVER, 113);
    }
    const outside = await hosts.peer(hosts.outside, 'outside');
    await outside.call('resolver', '192.168.99.254', 7);
    await resolvers.apply({ networkServices: [web(), ...others()] });
    // The sockets are opened by a helper, after the first container came.
    for (const name of ['c1', 'c2', 'c3'])
      await until(`answers for ${name}`, async () =>
        (await ask(name, 'web'))[0] === '10.0.1.2' ? true : undefined,
      );
  });
  after(async () => {
    await resolvers?.end();
    await routers?.end();
    rmSync(directory, { recursive: true, force: true });
  });

  it('are those of services, tasks and aliases, with and without the network behind', async () => {
    const tasks = ['10.0.1.11', '10.0.1.12', '10.0.1.13'];
    for (const from of ['c1', 'c2', 'c3'])
      for (const [name, addresses] of [
        ['web', ['10.0.1.2']],
        ['WeB.nEt1', ['10.0.1.2']],
        ['www', [...tasks, '10.0.1.2'].sort()],
        ['tasks.web', tasks],
        ['tasks.web.net1', tasks],
        ['db', tasks],
        ['web.local.net1', [...tasks, '10.0.1.2'].sort()],
        ['web.2.c2', ['10.0.1.12']],
        ['web.2.c2.net1', ['10.0.1.12']],
      ] as const)
        assert.deepEqual(await ask(from, name), addresses, `${name} from ${from}`);
    assert.deepEqual(await ask('c1', 'web', 'AAAA'), ['fd00:0:0:1::2']);
    assert.deepEqual(await ask('c1', 'hidden', 'A'), 'ENOTFOUND');
  });
  it('are found backwards', async () => {
    assert.deepEqual(await ask('c1', '10.0.1.12', 'PTR'), ['db.2.c2.net1']);
    assert.deepEqual(await ask('c1', '10.0.1.2', 'PTR'), ['web.net1']);
    assert.deepEqual(await ask('c1', 'fd00:0:0:1::2', 'PTR'), ['web.net1']);
    assert.equal(await ask('c1', '10.0.1.200', 'PTR'), 'ENOTFOUND');
  });
  it('say that a name has no such record, or is not there', async () => {
    assert.equal(await ask('c1', 'web', 'MX'), 'ENODATA');
    assert.equal(await ask('d1', 'hidden', 'AAAA'), 'ENODATA');
    assert.equal(await ask('c1', 'nothing'), 'ENOTFOUND');
  });
  it('are those of the own networks alone', async () => {
    assert.deepEqual(await ask('d1', 'hidden'), ['10.0.2.2']);
    assert.equal(await ask('d1', 'web'), 'ENOTFOUND');
    assert.equal(await ask('c1', 'hidden.net2'), 'ENOTFOUND');
    assert.deepEqual(await ask('e1', 'hidden.net2'), ['10.0.2.2']);
    assert.deepEqual(await ask('e1', 'web'), ['10.0.1.2']);
  });
  it('of the world outside come from the host, or from the resolvers of the task', async () => {
    assert.deepEqual(await ask('c1', 'www.example'), ['203.0.113.1']);
    assert.deepEqual(await ask('e1', 'www.example'), ['203.0.7.1']);
    assert.equal(((await ask('c1', 'many.example')) as string[]).length, 100);
    assert.equal(await ask('d1', 'www.example'), 'ENOTFOUND', 'no way out of an internal network');
  });
  it('stand for endpoints that are ready, in turn', async () => {
    const tasks = [{ task: 1 }, { task: 2, ready: false }, { task: 3 }];
    await resolvers.apply({ networkServices: [web(tasks), ...others()] });
    const ready = ['10.0.1.11', '10.0.1.13'];
    for (const from of ['c1', 'c2', 'c3']) {
      assert.deepEqual(await ask(from, 'tasks.web'), ready);
      assert.equal(await ask(from, 'web.2.c2'), 'ENODATA');
    }
    const first = new Set<string>();
    for (let n = 0; n < 6; n++) {
      const text = await hosts.must(inside['c1']!, 'busybox nslookup -type=a db 127.0.0.11');
      first.add(/Address: (10\S+)/.exec(text)![1]!);
    }
    assert.deepEqual([...first].sort(), ['10.0.1.11', '10.0.1.12', '10.0.1.13']);
    await resolvers.apply({ networkServices: [service('db', 1, all)] });
    assert.equal(await ask('c2', 'web'), 'ENOTFOUND');
    await resolvers.apply({ networkServices: [web(), ...others()] });
    assert.deepEqual(await ask('c2', 'web'), ['10.0.1.2']);
  });
  it('serve programs that know nothing of us', async () => {
    const file = join(directory, 'resolv.conf');
    writeFileSync(file, 'nameserver 127.0.0.11\noptions ndots:0\n');
    const line = (command: string) =>
      `unshare -m sh -c 'mount --bind ${file} /etc/resolv.conf && ${command}'`;
    const found = await hosts.must(inside['c1']!, line('busybox nslookup web'));
    assert.match(found, /Address: 10\.0\.1\.2/);
    assert.match(found, /Address: fd00:0:0:1::2/);
    const far = await hosts.must(inside['c1']!, line('busybox nslookup -type=a www.example'));
    assert.match(far, /203\.0\.113\.1/);
    // A search domain that knows every name is not asked first.
    writeFileSync(file, 'nameserver 127.0.0.11\nsearch example\noptions ndots:0\n');
    const got = await hosts.sh(inside['c1']!, line('getent ahostsv4 web'));
    assert.match(got.stdout, /^10\.0\.1\.2 /);
  });
  it('of more tasks than a datagram holds come over TCP', async () => {
    const many = Array.from({ length: 90 }, (_, at) => ({ task: 20 + at }));
    await resolvers.apply({ networkServices: [web(), ...others(), service('wide', 1, many)] });
    const found = (await ask('c1', 'wide')) as string[];
    assert.deepEqual([found.length, new Set(found).size], [90, 90]);
    assert.equal(((await ask('c2', 'wide', 'AAAA')) as string[]).length, 90);
  });
  it('survive packets that mean nothing', async () => {
    await at['c1']!.call('garbage', '198.18.0.1', 200);
    assert.deepEqual(await ask('c1', 'web'), ['10.0.1.2']);
  });
  it('are answered again after the end of netd', async (t) => {
    for (let round = 0; round < 2; round++) {
      const pid = await resolvers.netd(1);
      process.kill(pid, 'SIGKILL');
      const beganMs = performance.now();
      await resolvers.netd(1, pid);
      const soon = () => at['c1']!.call<string[]>('resolve', 'web', 'A', '127.0.0.11', 100);
      await until('an answer', async () => ((await soon())[0] === '10.0.1.2' ? true : undefined));
      t.diagnostic(`${Math.round(performance.now() - beganMs)} ms after its end`);
    }
  });
});
