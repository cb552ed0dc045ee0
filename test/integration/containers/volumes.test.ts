import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { TestRegistry } from '../../support/registry.ts';
import { type Ran, tempDir, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry']);
const REGISTRY_PORT = 15_079;
const FAST = ['--stop-grace-period', '0s', '--restart-delay', '0s'];

interface VolumeRow {
  readonly Name: string;
  readonly Node: string;
  readonly UsedBy: string;
  readonly Labels: string;
}

describe('volumes of several nodes', { skip: missing || false }, () => {
  const scratch = tempDir();
  let engine: PrivateContainerd;
  let registry: TestRegistry;
  let cluster: DevCluster;
  let image: string;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    registry = await TestRegistry.start(REGISTRY_PORT);
    await registry.push(buildImage(busybox()), 'test/volumes', '1');
    image = `${registry.host}/test/volumes:1`;
    cluster = await DevCluster.up(1, 2, { env: { CONTAINERD_ADDRESS: engine.socket } });
  });
  after(async () => {
    await cluster?.down();
    await registry?.stop();
    await engine?.close();
    scratch.remove();
  });

  const swarm = (...words: string[]): Promise<Ran> => cluster.swarm('m1', words);
  const must = (...words: string[]): Promise<string> => cluster.must('m1', words);
  const create = (name: string, ...words: string[]): Promise<string> =>
    must('service', 'create', '-q', '--name', name, ...FAST, ...words);
  const mount = (name: string, more = '') => ['--mount', `source=${name},target=/data${more}`];
  async function places(): Promise<string[]> {
    const list = await cluster.rows<VolumeRow>('m1', ['volume', 'ls']);
    return list.map(({ Node, Name, UsedBy }) => `${Node}:${Name} ${UsedBy}`.trim());
  }
  const nodesOf = async (service: string, count: number): Promise<string[]> =>
    (await cluster.untilRunning('m1', service, count)).map(({ Node }) => Node).sort();

  it('are made on a node, listed with their users, and removed', async () => {
    assert.equal(await must('volume', 'create', '--label', 'team=blue', 'plain'), 'plain\n');
    assert.equal(await must('volume', 'create', '--node', 'w1', 'plain'), 'plain\n');
    assert.deepEqual(await places(), ['m1:plain', 'w1:plain']);
    const both = await swarm('volume', 'rm', 'plain');
    assert.deepEqual([both.code, both.stdout], [3, '']);
    assert.match(both.stderr, /2 nodes have a volume plain.*m1:plain, w1:plain/s);
    assert.equal(await must('volume', 'rm', 'w1:plain'), 'w1:plain\n');
    type Shown = { readonly Name: string; readonly Mountpoint: string };
    const [shown] = JSON.parse(await must('volume', 'inspect', 'plain')) as [Shown];
    const path = join((await cluster.node('m1')).dir, 'volumes/named/plain/data');
    assert.deepEqual([shown.Name, shown.Mountpoint], ['plain', path]);
    assert.equal(await must('volume', 'ls', '-q', '--filter', 'label=team=blue'), 'm1:plain\n');
    await must('volume', 'rm', 'm1:plain');
    assert.deepEqual(await places(), []);
    const gone = await swarm('volume', 'rm', 'plain');
    assert.match(gone.stderr, /No node has a volume plain/);
    assert.equal((await swarm('volume', 'rm', '-f', 'plain')).code, 0);
    const odd = await swarm('volume', 'create', '../../etc');
    assert.match(odd.stderr, /no name of a volume/);
  });

  it('keep a service where they are, also when that node is away', async () => {
    await create(
      'db',
      ...mount('kept'),
      '--constraint',
      'node.hostname==w2',
      image,
      'sh',
      '-c',
      'echo one >>/data/log; sleep 1000',
    );
    assert.deepEqual(await nodesOf('db', 1), ['w2']);
    // Nothing but the volume holds it there now.
    await must('service', 'update', '-q', '--constraint-rm', 'node.hostname==w2', 'db');
    await must('service', 'update', '-q', '--force', 'db');
    assert.deepEqual(await nodesOf('db', 1), ['w2']);
    assert.match(
      await must('why', 'db'),
      /db\.1 runs only where its volumes are: volume kept is on w2/,
    );
    const used = await swarm('volume', 'rm', 'kept');
    assert.equal(used.code, 4);
    assert.match(used.stderr, /volume kept on w2 is used by service db/i);
    await must('node', 'update', '--availability', 'drain', 'w2');
    const waits = await until('it to wait', async () => {
      const text = await must('service', 'ps', '--no-trunc', 'db');
      return /Pending.*volume kept is on w2/.test(text) ? text : undefined;
    });
    assert.match(waits, /1 node: drained/);
    assert.match(await must('why', 'db'), /db waits: its volume kept is on w2/);
    await must('node', 'update', '--availability', 'active', 'w2');
    assert.deepEqual(await nodesOf('db', 1), ['w2']);
  });

  it('go from node to node as archives, whole or not at all', async () => {
    const file = join(scratch.path, 'kept.tar');
    await must('volume', 'export', 'w2:kept', file);
    const listed = execFileSync('tar', ['-tvf', file], { encoding: 'utf8' });
    assert.match(listed, /\.\/\n[\s\S]*\.\/log/);
    assert.equal(await must('volume', 'import', 'w1:moved', file), 'moved\n');
    assert.equal(await must('volume', 'ls', '-q', '--filter', 'name=moved'), 'w1:moved\n');
    const again = await swarm('volume', 'import', 'w1:moved', file);
    assert.match(again.stderr, /not empty: --replace/);
    await must('volume', 'import', '--replace', 'w1:moved', file);
    const used = await swarm('volume', 'import', '--replace', 'w2:kept', file);
    assert.match(used.stderr, /Volume kept is used by db\.1/);
    truncateSync(file, 1_000);
    const broken = await swarm('volume', 'import', 'w1:other', file);
    assert.match(broken.stderr, /cut off/);
    const piped = await cluster.swarm('m1', ['volume', 'import', 'w1:other'], { input: 'no tar' });
    assert.notEqual(piped.code, 0);
    const log = join((await cluster.node('w1')).dir, 'volumes/named/moved/data/log');
    assert.match(readFileSync(log, 'utf8'), /^one\n/);
    assert.deepEqual(await must('volume', 'ls', '-q', '--filter', 'name=other'), '');
    const away = await swarm('volume', 'export', 'w9:kept', join(scratch.path, 'none.tar'));
    assert.match(away.stderr, /w9 has no volume kept/);
  });

  it('carry much, and nothing is left of what is broken off', async () => {
    const big = join(scratch.path, 'big');
    mkdirSync(big);
    writeFileSync(join(big, 'zeros'), Buffer.alloc(24 << 20, 'z'));
    const archive = join(scratch.path, 'big.tar');
    execFileSync('tar', ['-C', big, '-cf', archive, '.']);
    await must('volume', 'import', 'w1:big', archive);
    const back = join(scratch.path, 'back.tar');
    await must('volume', 'export', 'w1:big', back);
    execFileSync('tar', ['-C', big, '-df', back]);
    const short = await cluster.swarm('m1', ['volume', 'import', 'w1:half'], {
      input: readFileSync(archive, 'latin1').slice(0, 9 << 20),
    });
    assert.match(short.stderr, /cut off/);
    await must('volume', 'rm', 'big', 'moved');
    assert.deepEqual(await places(), ['w2:kept db.1']);
  });

  it('give a container one of their directories alone, however it is put there', async () => {
    const script = 'mkdir -p /data/in/side; ln -s / /data/way; echo kept >/data/in/side/file';
    const here = ['--constraint', 'node.hostname==m1'];
    await create('filler', ...mount('parts'), ...here, image, 'sh', '-c', `${script}; sleep 1000`);
    const part = mount('parts', ',volume-subpath=in/side');
    await create('reader', ...part, image, 'sh', '-c', 'ls /data; cat /data/file; sleep 1000');
    const log = await until('its log', async () => {
      const text = await must('service', 'logs', '--raw', 'reader');
      return text.includes('kept') ? text : undefined;
    });
    assert.equal(log, 'file\nkept\n');
    for (const path of ['../..', '/etc']) {
      const out = mount('parts', `,volume-subpath=${path}`);
      const refused = await swarm('service', 'create', '--name', 'out', ...out, image);
      assert.match(refused.stderr, /is not in the volume/);
    }
    for (const path of ['way/etc', 'none']) {
      const link = mount('parts', `,volume-subpath=${path}`);
      await must('service', 'create', '-d', '--name', 'link', ...link, image, 'sleep', '1000');
      await until('its reason', async () => {
        const text = await must('service', 'ps', '--no-trunc', 'link');
        return text.includes(`the volume has no directory ${path}`) || undefined;
      });
      await must('service', 'rm', 'link');
    }
    await must('service', 'rm', 'reader', 'filler');
    const mounts = join((await cluster.node('m1')).dir, 'volumes/subpaths');
    const left = () => !readFileSync('/proc/mounts', 'utf8').includes(mounts) || undefined;
    await until('nothing to be mounted', async () => left());
    await until('nobody to use it', async () => {
      const ran = await swarm('volume', 'rm', 'm1:parts');
      return ran.code === 0 || undefined;
    });
  });

  it('are known again after a restart of the daemon, and of a node that is away', async () => {
    await cluster.dev('kill', 'w2');
    const away = await until('silence', async () => {
      const ran = await swarm('volume', 'create', '--node', 'w2', 'more');
      return ran.code === 0 ? undefined : ran.stderr;
    });
    assert.match(away, /w2/);
    assert.deepEqual(await places(), ['w2:kept db.1']);
    await cluster.dev('start', 'w2');
    await nodesOf('db', 1);
    assert.deepEqual(await places(), ['w2:kept db.1']);
    await must('service', 'rm', 'db');
    await until('its end', async () =>
      (await must('volume', 'ls', '-q', '--filter', 'dangling=true')) === '' ? undefined : true,
    );
    assert.match(await must('volume', 'prune', '-a', '-f'), /w2:kept/);
    assert.deepEqual(await places(), []);
  });
});
