import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildImage, digestOf, manifestOf } from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster, type TaskRow } from '../../support/dev-cluster.ts';
import { type Fault, FaultyRegistry } from '../../support/faulty-registry.ts';
import { liveFiles } from '../../support/live-files.ts';
import { LOGIN, TestRegistry } from '../../support/registry.ts';
import { tempDir, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry']);
const OPEN_PORT = 15_081;
const CLOSED_PORT = 15_082;

function imageParts(text: string) {
  return { ...busybox(), config: { Env: ['PATH=/bin'], Cmd: sayer(text) } };
}
function imageSaying(text: string) {
  return buildImage(imageParts(text));
}
function sayer(text: string): string[] {
  return ['/bin/sh', '-c', `echo ${text}; trap "exit 0" TERM; while :; do sleep 9 & wait $!; done`];
}

interface Broken {
  readonly image: string;
  readonly flags?: readonly string[];
  readonly words?: readonly string[];
  readonly why: RegExp;
}

interface Inspected {
  readonly Spec: { readonly Task: { readonly Container: { Image: string; ImageAsked: string } } };
}

describe('images of registries', { skip: missing || false }, () => {
  const config = tempDir();
  let engine: PrivateContainerd;
  let open: TestRegistry;
  let closed: TestRegistry;
  let faulty: FaultyRegistry;
  let cluster: DevCluster;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    open = await TestRegistry.start(OPEN_PORT);
    closed = await TestRegistry.start(CLOSED_PORT, { tls: true, auth: true });
    closed.trustIn(config.path);
    faulty = await FaultyRegistry.start();
    const env = { CONTAINERD_ADDRESS: engine.socket, SWARM_REGISTRIES: config.path };
    cluster = await DevCluster.up(1, 1, { env });
  });
  after(async () => {
    await cluster?.down();
    await open?.stop();
    await closed?.stop();
    faulty?.stop();
    await engine?.close();
    config.remove();
  });

  async function containerOf(service: string) {
    const rows = await cluster.must('m1', ['service', 'inspect', '--format', 'json', service]);
    return (JSON.parse(rows) as Inspected[])[0]!.Spec.Task.Container;
  }
  /** What its tasks have said so far. */
  async function said(service: string): Promise<string[]> {
    const text = await cluster.must('m1', ['service', 'logs', '--raw', service]);
    return text.split('\n').filter(Boolean).sort();
  }
  function untilSaid(service: string, lines: readonly string[]): Promise<unknown> {
    return until(`${lines} of ${service}`, async () =>
      JSON.stringify(await said(service)) === JSON.stringify(lines) ? true : undefined,
    );
  }
  async function errorOf(service: string): Promise<string> {
    return until(`an error of ${service}`, async () => {
      const tasks = await cluster.rows<{ Error: string }>('m1', [
        'service',
        'ps',
        '--no-trunc',
        service,
      ]);
      return tasks.find((task) => task.Error !== '')?.Error;
    });
  }

  it('are pinned: tasks of one revision are of one image, wherever the tag went', async () => {
    const name = `${open.host}/test/pinned:1`;
    const first = imageSaying('one');
    await open.push(first, 'test/pinned', '1');
    await cluster.must('m1', ['service', 'create', '-q', '--name', 'pinned', name]);
    const { Image, ImageAsked } = await containerOf('pinned');
    assert.deepEqual([Image, ImageAsked], [`${name}@${first.manifest.digest}`, name]);
    await open.push(imageSaying('two'), 'test/pinned', '1');
    await cluster.must('m1', ['service', 'scale', '-q', 'pinned=3']);
    await untilSaid('pinned', ['one', 'one', 'one']);
    const events = ['events', '--no-follow', '--filter', 'action=pull'];
    assert.match(
      await cluster.must('m1', events),
      /task pull pinned\.1 .* 2 layers, .*done \d+\/\d+/,
    );
    await cluster.must('m1', ['service', 'update', '-q', '--image', name, 'pinned']);
    await untilSaid('pinned', ['one', 'one', 'one', 'two', 'two', 'two']);
    await cluster.must('m1', ['service', 'rollback', '-q', 'pinned']);
    assert.equal((await containerOf('pinned')).Image, Image);
    await cluster.must('m1', ['service', 'rm', '-q', 'pinned']);
  });
  it('without --no-resolve-image only', async () => {
    const name = `${open.host}/test/pinned:1`;
    const flags = ['-q', '--name', 'loose', '--no-resolve-image'];
    await cluster.must('m1', ['service', 'create', ...flags, name]);
    assert.equal((await containerOf('loose')).Image, name);
    await cluster.must('m1', ['service', 'rm', '-q', 'loose']);
  });
  it('that are not there are told at once, and on the task', async () => {
    const name = `${open.host}/test/none:1`;
    const ran = await cluster.swarm('m1', ['service', 'create', '-d', '--name', 'none', name]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /WARNING: .*none:1 could not be pinned.*is not in the registry/);
    assert.match(await errorOf('none'), /none:1 is not in the registry/);
    await cluster.must('m1', ['service', 'rm', '-q', 'none']);
  });
  it('need the login of a registry that asks for one', async () => {
    await closed.push(imageSaying('private'), 'test/app', '1');
    const name = `${closed.host}/test/app:1`;
    await cluster.must('m1', ['service', 'create', '-d', '--name', 'denied', name]);
    assert.match(await errorOf('denied'), /needs a login \(swarm registry login\)/);
    const wrong = await login('wrong-password');
    assert.equal(wrong.code, 6, wrong.stderr);
    assert.match(wrong.stderr, /does not take this login/);
    const right = await login(LOGIN.password);
    assert.equal(right.stdout, `Logged in to ${closed.host} as ${LOGIN.username}.\n`);
    // The tasks that come after have it; nothing has to be changed.
    await untilSaid('denied', ['private']);
    await cluster.must('m1', [
      'service',
      'create',
      '-q',
      '--name',
      'given',
      '--replicas',
      '2',
      name,
    ]);
    assert.match((await containerOf('given')).Image, /@sha256:/);
    await untilSaid('given', ['private', 'private']);
    const list = await cluster.must('m1', ['registry', 'ls', '--format', 'json']);
    assert.deepEqual(
      [JSON.parse(list).Host, JSON.parse(list).Username],
      [closed.host, LOGIN.username],
    );
    await cluster.must('m1', ['service', 'rm', '-q', 'denied', 'given']);
    await cluster.must('m1', ['registry', 'logout', closed.host]);
  });
  it('are pulled with the login of who creates a service, where that is asked', async () => {
    const docker = tempDir();
    const auth = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64');
    const text = JSON.stringify({ auths: { [closed.host]: { auth } } });
    writeFileSync(join(docker.path, 'config.json'), text);
    await closed.push(imageSaying('own'), 'test/own', '1');
    const flags = ['-q', '--name', 'own', '--with-registry-auth'];
    const env = { DOCKER_CONFIG: docker.path };
    await cluster.must('m1', ['service', 'create', ...flags, `${closed.host}/test/own:1`], { env });
    await untilSaid('own', ['own']);
    await cluster.must('m1', ['service', 'rm', '-q', 'own']);
    docker.remove();
  });
  it('that are on their way show how far they are', async () => {
    const [first = []] = busybox().layers;
    const big = [{ name: 'big', content: randomBytes(12 << 20) }];
    const image = buildImage({ ...imageParts('slow'), layers: [first, big] });
    const name = faulty.add('test/slow', image, { holdAfter: 9 << 20 });
    await cluster.must('m1', ['service', 'create', '-d', '--name', 'slow', name]);
    await until('bytes of its layers', async () => {
      const [task] = await cluster.rows<TaskRow>('m1', ['service', 'ps', 'slow']);
      const state = task?.CurrentState ?? '';
      return /pulling 1 of 2 layers, \d+\.\d of 1\d\.\d MB/.test(state) || undefined;
    });
    faulty.release();
    await untilSaid('slow', ['slow']);
    await cluster.must('m1', ['service', 'rm', '-q', 'slow']);
  });
  it('that can not be run say why on their tasks, and hold up no others', async () => {
    const good = faulty.add('test/good', imageSaying('good'));
    await cluster.must('m1', [
      'service',
      'create',
      '-q',
      '--name',
      'good',
      '--mode',
      'global',
      good,
    ]);
    await untilSaid('good', ['good', 'good']);
    const before = [engine.blobs(), engine.snapshots()];
    const services = broken(good);
    for (const [name, { image, flags = [], words = [] }] of Object.entries(services)) {
      // Not looked up before: everything is met on the node.
      const place = ['--no-resolve-image', '--constraint', 'node.role==worker'];
      const all = ['-d', '--name', name, ...place, ...flags, image, ...words];
      await cluster.must('m1', ['service', 'create', ...all]);
    }
    // What may pass is tried again by the same task; it says what it waits for.
    for (const [name, { why }] of Object.entries(services)) {
      await until(`why ${name} does not run`, async () => {
        const words = ['service', 'ps', '--no-trunc', name];
        const tasks = await cluster.rows<TaskRow & { Error: string }>('m1', words);
        return tasks.some((task) => why.test(`${task.CurrentState} ${task.Error}`)) || undefined;
      });
    }
    const nodes = await cluster.rows<{ Status: string }>('m1', ['node', 'ls']);
    assert.deepEqual(
      nodes.map(({ Status }) => Status),
      ['Ready', 'Ready'],
    );
    const other = ['service', 'create', '-q', '--name', 'other', '--mode', 'global'];
    await cluster.must('m1', [...other, good]);
    await untilSaid('other', ['good', 'good']);
    await cluster.must('m1', ['service', 'rm', '-q', 'good', 'other', ...Object.keys(services)]);
    // Those of the image that could be run stay; its containers' own snapshots go.
    await until('nothing more than before', () => {
      const [blobs, snapshots] = [engine.blobs(), engine.snapshots()];
      return (blobs <= before[0]! && snapshots <= before[1]! - 2) || undefined;
    });
  });
  it('with names of odd characters are refused at once', async () => {
    for (const name of ['Test/UPPER:1', '../up:1', 'a b', 'x:$(id)', 'x\u001b[2J', '']) {
      const ran = await cluster.swarm('m1', ['service', 'create', '-d', '--name', 'odd', name]);
      assert.notEqual(ran.code, 0, name);
      assert.match(ran.stderr, /image/i);
      assert.ok(!ran.stderr.includes('\u001b'), 'an escape of the name is printed');
    }
  });
  it('leave no password in any file of a node', async () => {
    const wanted = [LOGIN.password, Buffer.from(`alice:${LOGIN.password}`).toString('base64')];
    let looked = 0;
    for (const { path, bytes } of liveFiles(cluster.dir)) {
      looked++;
      for (const secret of wanted) assert.ok(!bytes.includes(secret), `${path} has it`);
    }
    assert.ok(looked > 10, `${looked} files`);
  });

  /** Services that no node can run, and what is said of each. */
  function broken(good: string): { readonly [service: string]: Broken } {
    const parts = imageParts('never');
    const image = (name: string) =>
      buildImage({ ...parts, layers: [...parts.layers, [{ name, content: name }]] });
    const add = (name: string, fault: Fault) => faulty.add(`test/${name}`, image(name), fault);
    const whole = image('half');
    const layers = whole.layers.map((layer) => {
      const bytes = layer.bytes.subarray(0, layer.size / 2);
      return { ...layer, bytes, size: bytes.length, digest: digestOf(bytes) };
    });
    const half = { ...whole, layers, manifest: manifestOf(whole.config, layers) };
    const many = manifestOf(whole.config, Array(1_000).fill(whole.layers[0]));
    const other = buildImage({ ...parts, architecture: 's390x' });
    return {
      wrong: { image: add('wrong', { wrong: true }), why: /other bytes .* than its digest says/ },
      cut: { image: add('cut', { cut: true }), why: /the answer of .* broke off/ },
      half: { image: faulty.add('test/half', half), why: /can't unpack layer/ },
      many: { image: faulty.add('test/many', { ...whole, manifest: many }), why: /1000 layers/ },
      machine: { image: faulty.add('test/other', other), why: /linux\/s390x/ },
      none: { image: good.replace('good', 'none'), why: /is not in the registry/ },
      user: { image: good, flags: ['--user', 'nobody-here'], why: /has no user nobody-here/ },
      command: { image: good, words: ['/no/such'], why: /no command \/no\/such/ },
    };
  }
  async function login(password: string) {
    const flags = ['--username', LOGIN.username, '--password-stdin'];
    return cluster.swarm('m1', ['registry', 'login', ...flags, closed.host], { input: password });
  }
});
