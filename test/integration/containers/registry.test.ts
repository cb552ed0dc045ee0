import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '../../../shared/distribution/image-fixture.ts';
import { busybox, PrivateContainerd } from '../../../worker/runtime/containerd/containerd-world.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { liveFiles } from '../../support/live-files.ts';
import { LOGIN, TestRegistry } from '../../support/registry.ts';
import { tempDir, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry']);
const OPEN_PORT = 15_081;
const CLOSED_PORT = 15_082;

function imageSaying(text: string) {
  return buildImage({ ...busybox(), config: { Env: ['PATH=/bin'], Cmd: sayer(text) } });
}
function sayer(text: string): string[] {
  return ['/bin/sh', '-c', `echo ${text}; trap "exit 0" TERM; while :; do sleep 9 & wait $!; done`];
}

interface Inspected {
  readonly Spec: { readonly Task: { readonly Container: { Image: string; ImageAsked: string } } };
}

describe('images of registries', { skip: missing || false }, () => {
  const config = tempDir();
  let engine: PrivateContainerd;
  let open: TestRegistry;
  let closed: TestRegistry;
  let cluster: DevCluster;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    open = await TestRegistry.start(OPEN_PORT);
    closed = await TestRegistry.start(CLOSED_PORT, { tls: true, auth: true });
    closed.trustIn(config.path);
    const env = { CONTAINERD_ADDRESS: engine.socket, SWARM_REGISTRIES: config.path };
    cluster = await DevCluster.up(1, 1, { env });
  });
  after(async () => {
    await cluster?.down();
    await open?.stop();
    await closed?.stop();
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
  it('leave no password in any file of a node', async () => {
    const wanted = [LOGIN.password, Buffer.from(`alice:${LOGIN.password}`).toString('base64')];
    let looked = 0;
    for (const { path, bytes } of liveFiles(cluster.dir)) {
      looked++;
      for (const secret of wanted) assert.ok(!bytes.includes(secret), `${path} has it`);
    }
    assert.ok(looked > 10, `${looked} files`);
  });

  async function login(password: string) {
    const flags = ['--username', LOGIN.username, '--password-stdin'];
    return cluster.swarm('m1', ['registry', 'login', ...flags, closed.host], { input: password });
  }
});
