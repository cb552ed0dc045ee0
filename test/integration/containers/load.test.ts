import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  type BuiltImage,
  buildImage,
  dockerArchive,
  ociLayout,
  writeLayout,
} from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { tempDir, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers();

function imageSaying(text: string): BuiltImage {
  const script = `echo ${text}; trap "exit 0" TERM; while :; do sleep 9 & wait $!; done`;
  return buildImage({
    ...busybox(),
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh', '-c', script] },
  });
}

interface ImageRow {
  readonly Name: string;
  readonly Digest: string;
  readonly Origin: string;
  readonly Services: string;
}

describe('an image without a registry', { skip: missing || false }, () => {
  const files = tempDir();
  let engine: PrivateContainerd;
  let cluster: DevCluster;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    cluster = await DevCluster.up(3, 1, { env: { CONTAINERD_ADDRESS: engine.socket } });
  });
  after(async () => {
    await cluster?.down();
    await engine?.close();
    files.remove();
  });

  function archive(image: BuiltImage, name: string): string {
    const path = join(files.path, `${name.replaceAll(/\W/g, '-')}.tar`);
    writeFileSync(path, dockerArchive(image, [name]));
    return path;
  }
  function must(...args: string[]): Promise<string> {
    return cluster.must('m2', args, { timeoutMs: 60_000 });
  }
  async function list(): Promise<ImageRow[]> {
    return cluster.rows<ImageRow>('m2', ['image', 'ls', '--no-trunc']);
  }
  /** Files of blobs on the disk of a manager. */
  async function blobsOf(node: string): Promise<string[]> {
    const { dir } = await cluster.node(node);
    const place = join(dir, 'images', 'sha256');
    return existsSync(place) ? readdirSync(place).sort() : [];
  }
  async function said(service: string): Promise<string[]> {
    const text = await cluster.must('m1', ['service', 'logs', '--raw', service]);
    return text.split('\n').filter(Boolean).sort();
  }
  async function runsOnEveryNode(service: string, image: string, line: string): Promise<void> {
    await must('service', 'create', '-q', '--name', service, '--mode', 'global', image);
    await until(`${line} of every node`, async () => {
      const lines = await said(service);
      return lines.length === 4 && lines.every((each) => each === line) ? true : undefined;
    });
  }

  it('is on the disks of all managers when load returns, and runs on every node', async () => {
    const out = await must('image', 'load', archive(imageSaying('loaded'), 'team/app:1'));
    assert.match(out, /^Loaded team\/app:1 \(sha256:[0-9a-f]{64}, /);
    const blobs = await blobsOf('m1');
    assert.equal(blobs.length, 4);
    for (const name of ['m2', 'm3']) assert.deepEqual(await blobsOf(name), blobs);
    assert.deepEqual(await blobsOf('w1'), []);
    await runsOnEveryNode('app', 'team/app:1', 'loaded');
    const [row] = await list();
    assert.deepEqual([row!.Name, row!.Origin, row!.Services], ['team/app:1', 'loaded', 'app']);
  });
  it('may be a layout, with a name of its own', async () => {
    const image = imageSaying('layout');
    writeLayout(join(files.path, 'layout'), ociLayout(image, 'inside:1'));
    const path = join(files.path, 'layout');
    await must('image', 'load', '-q', '--tag', 'layout:2', path);
    const row = (await list()).find(({ Name }) => Name === 'layout:2');
    assert.equal(row?.Digest, image.manifest.digest);
    await must('service', 'create', '-q', '--name', 'layout', 'layout:2');
    await until('its line', async () =>
      (await said('layout'))[0] === 'layout' ? true : undefined,
    );
  });
  it('is fetched by a manager that lacks it, and given by any other', async () => {
    const { dir } = await cluster.node('m3');
    await cluster.dev('kill', 'm3');
    rmSync(join(dir, 'images'), { recursive: true });
    await must('image', 'load', archive(imageSaying('while away'), 'away:1'));
    await cluster.dev('start', 'm3');
    const wanted = await blobsOf('m2');
    await until('its blobs', async () =>
      (await blobsOf('m3')).join() === wanted.join() ? true : undefined,
    );
    await runsOnEveryNode('away', 'away:1', 'while away');
  });
  it('is not removed while a service uses it, and pruned when none does', async () => {
    const refused = await cluster.swarm('m2', ['image', 'rm', 'away:1']);
    assert.equal(refused.code, 4, refused.stderr);
    assert.match(refused.stderr, /away:1 is used by away/);
    await must('service', 'rm', '-q', 'away', 'layout');
    const out = await must('image', 'prune', '-f');
    assert.match(out, /^Removed away:1\nRemoved layout:2\n.* freed\n$/);
    assert.deepEqual(
      (await list()).map(({ Name }) => Name),
      ['team/app:1'],
    );
  });
  it('may be piped in, compressed or not', async () => {
    const piped = dockerArchive(imageSaying('piped'), ['piped:1']);
    for (const input of [piped, gzipSync(piped)]) {
      const ran = await cluster.swarm('m2', ['image', 'load', '-q'], { input });
      assert.deepEqual([ran.code, ran.stdout], [0, 'piped:1\n'], ran.stderr);
    }
    const cut = gzipSync(piped).subarray(0, 200);
    const ran = await cluster.swarm('m2', ['image', 'load', '-'], { input: cut });
    assert.deepEqual([ran.code, /compression is damaged/.test(ran.stderr)], [2, true], ran.stderr);
    await must('image', 'rm', 'piped:1');
  });
  it('is refused with the reason when it is broken', async () => {
    const whole = dockerArchive(imageSaying('x'), ['x:1']);
    const cases: readonly [string, Uint8Array, RegExp][] = [
      ['cut', whole.subarray(0, whole.length / 2), /cut off/],
      ['text', Buffer.from('no archive'.repeat(200)), /no archive|damaged/],
    ];
    for (const [name, bytes, message] of cases) {
      const path = join(files.path, name);
      writeFileSync(path, bytes);
      const ran = await cluster.swarm('m2', ['image', 'load', path]);
      assert.equal(ran.code, 2, ran.stderr);
      assert.match(ran.stderr, message);
    }
    const absent = await cluster.swarm('m2', ['image', 'load', '/nowhere.tar']);
    assert.match(absent.stderr, /\/nowhere.tar cannot be read \(ENOENT\)/);
  });
});
