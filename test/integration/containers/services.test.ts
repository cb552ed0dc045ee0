import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type BuiltImage, buildImage } from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster, type TaskRow } from '../../support/dev-cluster.ts';
import { TestRegistry } from '../../support/registry.ts';
import { mustSwarm, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry']);
const PORT = 18_099;
const REGISTRY_PORT = 15_077;

describe('a service with an image', { skip: missing || false }, () => {
  let engine: PrivateContainerd;
  let registry: TestRegistry;
  let cluster: DevCluster;
  let image: BuiltImage;
  /** First characters of the nodes' ids, which all that they make carries. */
  let ids: readonly string[];

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    registry = await TestRegistry.start(REGISTRY_PORT);
    image = buildImage(busybox());
    await registry.push(image, 'test/web', '1');
    cluster = await DevCluster.up(1, 1, { env: { CONTAINERD_ADDRESS: engine.socket } });
    const nodes = await cluster.rows<{ ID: string }>('m1', ['node', 'ls']);
    ids = nodes.map(({ ID }) => ID.slice(0, 8));
  });
  after(async () => {
    await cluster?.down();
    await registry?.stop();
    await engine?.close();
  });

  async function answers(): Promise<void> {
    for (const { name, host } of await cluster.nodes()) {
      await until(`an answer of ${name}`, async () => {
        const answer = await fetch(`http://${host}:${PORT}/`);
        return (await answer.text()) === 'hello from a container\n' ? true : undefined;
      });
    }
  }

  /** By hand, as an operator who lets services have something of the machine. */
  async function startOffering(name: string): Promise<void> {
    const { socket, dir } = await cluster.node(name);
    // A card is a device file of the host, disks are only counted.
    const offers = ['--generic-resource', 'card=C1@/dev/full', '--generic-resource', 'ssd=2'];
    const words = ['--socket', socket, 'start', '--state-dir', dir, '--allow-process', ...offers];
    await mustSwarm(words, { env: { CONTAINERD_ADDRESS: engine.socket } });
    // Its process is written down for the end of the cluster.
    await cluster.dev('start', name);
  }

  /** What a container sees of networks when it has its node's, and when it has none. */
  async function ownNetworks(): Promise<void> {
    const name = `${registry.host}/test/web:1`;
    const script = 'ls /sys/class/net | sort | xargs; hostname; exec sleep 1000';
    for (const network of ['host', 'none']) {
      const flags = ['--name', network, '--network', network, '--hostname', 'inner'];
      const place = ['--constraint', 'node.role==worker', '--stop-grace-period', '100ms'];
      const words = ['service', 'create', '-q', ...flags, ...place];
      await cluster.must('m1', [...words, name, 'sh', '-c', script]);
      const log = await until('its log', async () => {
        const text = await cluster.must('m1', ['service', 'logs', '--raw', network]);
        return text.split('\n').length > 2 ? text : undefined;
      });
      const [devices, inner] = log.split('\n');
      assert.deepEqual([devices, inner], [network === 'host' ? hostDevices() : 'lo', 'inner']);
    }
    const bad = ['service', 'create', '--name', 'bad', '--network', 'none', '--publish', '81:80'];
    assert.notEqual((await cluster.swarm('m1', [...bad, name])).code, 0);
    // What listens in the host's network answers there, with no port published.
    const served = ['service', 'update', '-q', '--args', 'httpd -f -p 18098 -h /www', 'host'];
    await cluster.must('m1', served);
    await until('an answer in the network of the host', async () => {
      const answer = await fetch('http://127.0.0.1:18098/');
      return (await answer.text()) === 'hello from a container\n' || undefined;
    });
    await cluster.must('m1', ['service', 'rm', 'host', 'none']);
  }

  it('is pulled, runs on every node and answers at its published port', async () => {
    const name = `${registry.host}/test/web:1`;
    const command = ['httpd', '-f', '-p', '80', '-h', '/www'];
    const flags = ['--name', 'web', '--replicas', '4', '--publish', `${PORT}:80`];
    const stop = ['--stop-grace-period', '500ms'];
    await cluster.must('m1', ['service', 'create', ...flags, ...stop, name, ...command]);
    const tasks = await cluster.running('m1', 'web');
    assert.deepEqual([...new Set(tasks.map((task) => task.Node))].sort(), ['m1', 'w1']);
    await answers();
  });
  it('goes on while the daemon of its node is killed, and is adopted', async () => {
    const tasks = (await cluster.running('m1', 'web')).map((task) => task.ID).sort();
    const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done';
    const place = ['--constraint', 'node.role==worker', '--stop-grace-period', '100ms'];
    const words = ['service', 'create', '-q', '--name', 'counts', ...place];
    await cluster.must('m1', [...words, `${registry.host}/test/web:1`, 'sh', '-c', script]);
    // A slow machine may need longer for the start than a node has by default.
    await cluster.must('m1', ['cluster', 'update', '--node-grace', '1m']);
    await cluster.dev('kill', 'w1');
    await answers();
    await startOffering('w1');
    await answers();
    const now = await cluster.untilRunning('m1', 'web', 4);
    assert.deepEqual(now.map((task) => task.ID).sort(), tasks);
    // Its node is asked when it has come back, and not a moment before.
    const log = await until('its log', async () => {
      const text = await cluster.must('m1', ['service', 'logs', '--raw', 'counts']);
      return text === '' ? undefined : text;
    });
    const numbers = log.trim().split('\n').map(Number);
    assert.deepEqual(
      numbers,
      numbers.map((_number, at) => at + 1),
    );
    await cluster.must('m1', ['service', 'rm', 'counts']);
  });
  it('says why it can not run when its image is not there', async () => {
    const name = `${registry.host}/test/none:1`;
    await cluster.must('m1', ['service', 'create', '-d', '--name', 'none', name]);
    await until('its reason', async () => {
      const rows = await cluster.rows<{ Error: string }>('m1', [
        'service',
        'ps',
        'none',
        '--no-trunc',
      ]);
      return rows.some((row) => row.Error.includes('is not in the registry')) || undefined;
    });
    await cluster.must('m1', ['service', 'rm', 'none']);
  });
  it('shows what its containers wrote', async () => {
    const name = `${registry.host}/test/web:1`;
    const script = 'echo to the log; exec sleep 1000';
    const flags = ['--name', 'talker', '--stop-grace-period', '100ms'];
    await cluster.must('m1', ['service', 'create', ...flags, name, 'sh', '-c', script]);
    const text = await until('its log', async () => {
      const log = await cluster.must('m1', ['service', 'logs', 'talker']);
      return log.includes('to the log') ? log : undefined;
    });
    assert.match(text, /talker\.1/);
    await cluster.must('m1', ['service', 'rm', 'talker']);
  });
  it('is healthy as its image says, or as the service says instead', async () => {
    const must = (...words: string[]) => cluster.must('m1', words);
    const parts = busybox();
    const test = ['CMD-SHELL', 'grep well /tmp/state'];
    const often = { Test: test, Interval: 1e8, Retries: 2, StartPeriod: 3e10, StartInterval: 1e8 };
    const config = { ...parts.config, Healthcheck: often };
    await registry.push(buildImage({ ...parts, config }), 'test/checked', '1');
    const name = `${registry.host}/test/checked:1`;
    const flags = ['--stop-grace-period', '0s', '--restart-delay', '0s', '--settle', '0s'];
    const create = (service: string, ...words: string[]) =>
      must('service', 'create', '-q', '--name', service, ...flags, ...words);
    await create(
      'image',
      name,
      'sh',
      '-c',
      'sleep 0.3; echo all is well >/tmp/state; exec sleep 1000',
    );
    await create('without', '--no-healthcheck', name, 'sleep', '1000');
    const serve = ['httpd', '-f', '-p', '80', '-h', '/www'];
    await create('asked', '--health-http', ':80/', name, ...serve);
    const health = async (task: string) => (await must('task', 'inspect', task)).toString();
    assert.match(await health('image.1'), /"healthy"/);
    assert.match(await health('image.1'), /all is well/);
    assert.match(await health('asked.1'), /HTTP 200 hello from a container/);
    assert.doesNotMatch(await health('without.1'), /"healthy"/);
    await must('exec', 'image', 'sh', '-c', 'echo ill >/tmp/state');
    await until(
      'its end',
      async () =>
        /unhealthy: exit code 1/.test(await must('service', 'ps', '--no-trunc', 'image')) ||
        undefined,
    );
    await must('service', 'rm', 'image', 'without', 'asked');
  });
  it('has all that its flags say', async () => {
    const flags = [
      ...['--entrypoint', 'sh', '-e', 'WHO={{.Service.Name}}.{{.Task.Slot}}@{{.Node.Hostname}}'],
      ...['-w', '/srv/deep', '-u', '1000:1001', '--group', '1002', '--hostname', 'inner', '--init'],
      ...['--host', 'extra:192.0.2.7', '--dns', '192.0.2.53', '--dns-search', 'example.test'],
      ...['--dns-option', 'ndots:2', '--read-only', '--ulimit', 'nofile=100:200'],
      ...['--oom-score-adj', '321', '--sysctl', 'net.core.somaxconn=77', '--shm-size', '16m'],
      ...['--cap-drop', 'ALL', '--cap-add', 'CHOWN', '--security-opt', 'no-new-privileges'],
      ...['--limit-memory', '64m', '--limit-pids', '50', '--limit-cpu', '0.5'],
      ...['--mount', 'type=tmpfs,target=/scratch,tmpfs-size=1m', '--stop-signal', 'SIGUSR1'],
      ...['--reserve-memory', '16m', '--reserve-cpu', '0.1', '--stop-grace-period', '0s'],
      ...['--constraint', 'node.hostname==w1', '--log-opt', 'max-size=1m', '--settle', '0s'],
    ];
    const script =
      'echo $WHO; pwd; id; hostname; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; ' +
      'cat /proc/sys/net/core/somaxconn; grep -E "extra" /etc/hosts; cat /etc/resolv.conf; ' +
      'touch /new 2>/dev/null || echo read-only; df -k /scratch /dev/shm; ' +
      'grep -E "^(NoNewPrivs|CapBnd):" /proc/self/status; cat /proc/1/comm; echo end; sleep 1000';
    const words = ['service', 'create', '-q', '--name', 'full', ...flags];
    await cluster.must('m1', [...words, `${registry.host}/test/web:1`, '-c', script]);
    const log = await until('its log', async () => {
      const text = await cluster.must('m1', ['service', 'logs', '--raw', 'full']);
      return text.includes('\nend\n') ? text : undefined;
    });
    const lines = log.split('\n').map((line) => line.trim().split(/\s+/).join(' '));
    assert.deepEqual(lines, [
      ...['full.1@w1', '/srv/deep', 'uid=1000(web) gid=1001 groups=1001,1002', 'inner'],
      ...['100', '200', '321', '77', '192.0.2.7 extra', 'nameserver 192.0.2.53'],
      ...['search example.test', 'options ndots:2', 'read-only'],
      'Filesystem 1K-blocks Used Available Use% Mounted on',
      ...['tmpfs 1024 0 1024 0% /scratch', 'shm 16384 0 16384 0% /dev/shm'],
      ...['CapBnd: 0000000000000001', 'NoNewPrivs: 1', 'docker-init', 'end', ''],
    ]);
    await cluster.must('m1', ['service', 'rm', 'full']);
  });
  it('has the weights, the swap and the counted things that its flags say', async () => {
    const flags = [
      ...['--workdir', '/srv/deep', '--cpu-shares', '512', '--blkio-weight', '321'],
      ...['--limit-memory', '64m', '--memory-swap', '32m', '--memory-swappiness', '7'],
      ...['--generic-resource', 'card=1', '--generic-resource', 'ssd=1'],
      ...['--constraint', 'node.hostname==w1', '--stop-grace-period', '0s', '--settle', '0s'],
    ];
    // Of v1, else of v2, else, where the kernel has it not, which is told, what was asked for.
    const script =
      'pwd; cd /sys/fs/cgroup; any() { for f; do cat $f 2>/dev/null && return; done; false; }; ' +
      'any cpu/cpu.shares cpu.weight; ' +
      'any memory/memory.memsw.limit_in_bytes memory.swap.max || echo none; ' +
      'any memory/memory.swappiness || echo 7; ' +
      'any blkio/blkio.weight blkio/blkio.bfq.weight || echo 321; ' +
      'echo $DOCKER_RESOURCE_CARD $DOCKER_RESOURCE_SSD; ls /dev/full; echo end; sleep 1000';
    const words = ['service', 'create', '-q', '--name', 'weighed', ...flags];
    await cluster.must('m1', [...words, `${registry.host}/test/web:1`, 'sh', '-c', script]);
    const log = await until('its log', async () => {
      const text = await cluster.must('m1', ['service', 'logs', '--raw', 'weighed']);
      return text.includes('\nend\n') ? text : undefined;
    });
    const [place, shares, swap, ...rest] = log.trim().split('\n');
    assert.equal(place, '/srv/deep');
    assert.match(shares!, /^(512|20|59)$/);
    assert.match(swap!, new RegExp(`^(${96 << 20}|${32 << 20}|none)$`));
    assert.deepEqual(rest, ['7', '321', 'C1 1', '/dev/full', 'end']);
    // Its only card is taken.
    const second = ['service', 'create', '-d', '--name', 'second', '--generic-resource', 'card=1'];
    await cluster.must('m1', [...second, `${registry.host}/test/web:1`, 'sleep', '1000']);
    await until('its reason', async () =>
      /card/.test(await cluster.must('m1', ['why', 'second'])) ? true : undefined,
    );
    await cluster.must('m1', ['service', 'rm', 'weighed']);
    await cluster.untilRunning('m1', 'second', 1);
    await cluster.must('m1', ['service', 'rm', 'second']);
  });
  it('says that its memory ran out, and what it wrote last, when it is over', async () => {
    const must = (...words: string[]) => cluster.must('m1', words);
    const flags = ['--limit-memory', '16m', '--restart-condition', 'none', '--stop-signal', 'KILL'];
    const script = 'echo last words; x=aaaaaaaa; while :; do x=$x$x; done';
    const words = ['service', 'create', '-d', '--name', 'hungry', ...flags];
    await must(...words, `${registry.host}/test/web:1`, 'sh', '-c', script);
    const [task] = await until('its end', async () => {
      const rows = await cluster.rows<TaskRow>('m1', ['service', 'ps', '--no-trunc', 'hungry']);
      return rows[0]?.CurrentState.startsWith('Failed') ? rows : undefined;
    });
    assert.match(task!.Error, /memory/);
    assert.match(await must('why', 'hungry'), /ran out of memory/);
    const [shown] = JSON.parse(await must('task', 'inspect', task!.ID)) as [{ Status: object }];
    const { OOM, ExitCode, LastLines } = shown.Status as { [key: string]: unknown };
    assert.deepEqual([OOM, ExitCode, LastLines], [true, 137, ['last words']]);
    assert.match(await must('task', 'logs', task!.ID), /last words/);
    await must('service', 'rm', 'hungry');
  });
  it('reaches its host only where the cluster allows it, and is told the way', async () => {
    const name = `${registry.host}/test/web:1`;
    const devices = ['--device', '/dev/full:/dev/mine:rw', '--security-opt', 'no-new-privileges'];
    const words = [
      'service',
      'create',
      '-q',
      '--name',
      'near',
      '--constraint',
      'node.role==manager',
    ];
    const command = [name, 'sh', '-c', 'ls /dev/mine; exec sleep 1000'];
    const refused = await cluster.swarm('m1', [...words, ...devices, ...command]);
    assert.equal(refused.code, 6, refused.stderr);
    assert.match(refused.stderr, /the device \/dev\/full makes a container root on its host/);
    assert.match(refused.stderr, /swarm cluster update --allow-host-access/);
    await cluster.must('m1', ['cluster', 'update', '--allow-host-access']);
    await cluster.must('m1', [...words, '--stop-grace-period', '100ms', ...devices, ...command]);
    const inside = ['sh', '-c', 'grep -E "^(NoNewPrivs|CapEff):" /proc/self/status'];
    const plain = await cluster.must('m1', ['exec', 'near', ...inside]);
    assert.match(plain, /00000000a80425fb\n.*NoNewPrivs:\s1/s);
    const all = await cluster.must('m1', ['exec', '--privileged', 'near', ...inside]);
    assert.doesNotMatch(all, /00000000a80425fb/);
    await ownNetworks();
    await cluster.must('m1', ['cluster', 'update', '--allow-host-access=false']);
    const again = await cluster.swarm('m1', ['exec', '--privileged', 'near', 'true']);
    assert.match(again.stderr, /--privileged makes a container root on its host/);
    await cluster.must('m1', ['service', 'update', '-q', '--device-rm', '/dev/mine', 'near']);
    await cluster.must('m1', ['service', 'rm', 'near']);
  });
  it('runs on no node that is set to processes, also after a restart of its daemon', async () => {
    const must = (...words: string[]) => cluster.must('m1', words);
    const name = `${registry.host}/test/web:1`;
    await must('node', 'update', '--runtime', 'process', 'w1');
    await cluster.dev('stop', 'w1');
    await cluster.dev('start', 'w1');
    const tasks = await until('all on the other node', async () => {
      const running = await cluster.running('m1', 'web');
      const there = running.filter(({ Node }) => Node === 'm1');
      return there.length === 4 && running.length === 4 ? there : undefined;
    });
    assert.equal(tasks.length, 4);
    assert.match(await must('node', 'inspect', '--pretty', 'w1'), /Runs only:\s+process\n/);
    const only = ['--constraint', 'node.hostname==w1', '--stop-grace-period', '100ms'];
    await must(
      'service',
      'create',
      '-q',
      '--name',
      'ours',
      ...only,
      '--user',
      '0',
      '--process',
      'sleep',
      '1000',
    );
    await must('service', 'create', '-d', '--name', 'theirs', ...only, name, 'sleep', '1000');
    const why = await until('a reason', async () => {
      const text = await must('why', 'theirs');
      return text.includes('w1') ? text : undefined;
    });
    assert.match(why, /w1: runs processes alone \(--runtime process\)/);
    await must('node', 'update', '--runtime', 'any', 'w1');
    await cluster.untilRunning('m1', 'theirs', 1);
    await must('service', 'rm', 'ours', 'theirs');
  });
  it('leaves nothing on the machine when its cluster is gone', async () => {
    await cluster.down();
    assert.equal(ids.length, 2);
    assert.deepEqual(traces(ids), []);
    await until('no snapshot', () => engine.snapshots() === 0 || undefined);
  });
});

/** Names in the network of this process; /sys may have been mounted in another. */
function hostDevices(): string {
  const lines = readFileSync('/proc/net/dev', 'utf8').trim().split('\n').slice(2);
  return lines
    .map((line) => line.split(':')[0]!.trim())
    .sort()
    .join(' ');
}

/** What nodes make outside their state directories. */
function traces(ids: readonly string[]): readonly string[] {
  const netns = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  const links = readdirSync('/sys/class/net');
  const isTheirs = (name: string): boolean => ids.some((id) => name.includes(id));
  return [...netns, ...links].filter((name) => /^sw[rtu]/.test(name) && isTheirs(name)).sort();
}
