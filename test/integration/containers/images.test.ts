import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  type BuiltImage,
  buildImage,
  digestOf,
  manifestOf,
} from '../../../shared/distribution/image.fixture.ts';
import type { ImageStore } from '../../../worker/images/image-store.ts';
import {
  busybox,
  ContainerdWorld,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { tempDir, until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers();
const never = new AbortController().signal;

/** What goes wrong at the registry. */
interface Faults {
  /** Answers that break off after so many bytes. */
  cutAfter?: { bytes: number; times: number };
  /** Gives other bytes for layers. */
  wrong?: boolean;
  tooLong?: boolean;
}

describe('an image of a registry', { skip: missing || false }, () => {
  const engine = new PrivateContainerd();
  let world: ContainerdWorld;
  let images: ImageStore;
  let runtime: ReturnType<ContainerdWorld['runtime']>;
  let server: Server;
  let host: string;
  let image: BuiltImage;
  let faults: Faults;
  let ranges: (string | undefined)[];
  let count = 0;

  before(async () => {
    await engine.start();
    world = new ContainerdWorld(engine);
    runtime = world.runtime();
    await runtime.open();
    images = runtime.images;
    server = createServer((request, response) => {
      const [, kind, digest] = /\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
      const known = [image.manifest, image.config, ...image.layers];
      const asked = kind === 'manifests' && digest === '1' ? image.manifest : undefined;
      const blob = asked ?? known.find((each) => each.digest === digest);
      if (!blob) return void response.writeHead(404).end();
      if (!image.layers.includes(blob)) {
        return void response.writeHead(200, { 'content-type': blob.mediaType }).end(blob.bytes);
      }
      ranges.push(request.headers.range);
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      let bytes: Buffer = blob.bytes.subarray(from);
      if (faults.wrong) bytes = Buffer.alloc(bytes.length, 'x');
      if (faults.tooLong) bytes = Buffer.concat([bytes, Buffer.from('more')]);
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length });
      if (!faults.cutAfter || faults.cutAfter.times-- <= 0) return void response.end(bytes);
      response.write(bytes.subarray(0, faults.cutAfter.bytes), () => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.close();
    await runtime.close();
    await world.close();
    await engine.close();
  });
  beforeEach(() => {
    faults = {};
    ranges = [];
    count++;
    const busy = busybox();
    const [first = []] = busy.layers;
    // Another image each time: what containerd has it does not fetch.
    image = buildImage({ ...busy, layers: [[...first, { name: 'n', content: `${count}` }]] });
  });

  function pull(name = `${host}/app:1`) {
    const wish = {
      auth: undefined,
      awaitsAuth: false,
      onManagers: false,
      onProgress: () => undefined,
    };
    return images.ensure({ image: name, ...wish, signal: never });
  }

  it('is unpacked and found again by its digest without the registry', async () => {
    const ready = await pull();
    assert.equal(ready.digest, image.manifest.digest);
    const asked = ranges.length;
    const again = await pull(`${host}/app@${image.manifest.digest}`);
    assert.equal(again.chainId, ready.chainId);
    assert.equal(ranges.length, asked);
  });
  it('is fetched once by many that want it at the same time', async () => {
    await Promise.all([pull(), pull(), pull()]);
    assert.equal(ranges.length, 1);
  });
  it('goes on where its registry broke off', async () => {
    faults = { cutAfter: { bytes: 300_000, times: 2 } };
    await pull();
    assert.equal(ranges.length, 3);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[2]!, /^bytes=\d{4,}-$/);
  });
  it('with other bytes than its digest says is refused, and nothing of it stays', async () => {
    faults = { wrong: true };
    await assert.rejects(pull(), { code: 'IMAGE_INVALID', message: /other bytes/ });
    faults = {};
    const ready = await pull();
    assert.equal(ready.config.diffIds[0], digestOf(image.plainLayers[0]!));
  });
  it('of which a part never comes says how much came, and comes when all of it does', async () => {
    faults = { cutAfter: { bytes: 100, times: 1_000 } };
    // By a name of its own: where there is an older image, that one is taken.
    const pulled = () => pull(`${host}/part:1`);
    await assert.rejects(pulled(), { temporary: true, message: /\(\d+ of \d+ bytes came\)/ });
    faults = {};
    await pulled();
  });
  it('that is cut off and has the digest of what is left is refused', async () => {
    const whole = image.layers[0]!;
    const bytes = whole.bytes.subarray(0, whole.size / 2);
    const layer = { ...whole, bytes, size: bytes.length, digest: digestOf(bytes) };
    image = { ...image, layers: [layer], manifest: manifestOf(image.config, [layer]) };
    await assert.rejects(pull(), { code: 'IMAGE_INVALID', message: /can't unpack layer/ });
  });
  it('with more layers than can be mounted is refused before any of them is fetched', async () => {
    const [layer] = image.layers;
    const layers = Array.from({ length: 1_000 }, () => layer!);
    image = { ...image, manifest: manifestOf(image.config, layers) };
    await assert.rejects(pull(), { code: 'IMAGE_INVALID', message: /1000 layers/ });
    assert.deepEqual(ranges, []);
  });
  it('that is given up by one and shares a layer with another leaves that one whole', async () => {
    const shared = image.layers[0]!;
    const lost = buildImage({ layers: [[{ name: 'lost', content: `${count}` }]] }).layers[0]!;
    const whole = image;
    const both = manifestOf(image.config, [shared, lost]);
    image = { ...whole, manifest: both };
    await assert.rejects(pull(`${host}/lost:1`));
    image = whole;
    assert.equal((await pull()).digest, whole.manifest.digest);
  });
  it('with more bytes than its manifest says is refused', async () => {
    faults = { tooLong: true };
    await assert.rejects(pull(), { code: 'IMAGE_INVALID', message: /more bytes/ });
  });
  it('that is not unpacked as its configuration says is refused', async () => {
    const other = buildImage({ layers: [[{ name: 'x', content: 'y' }]] });
    const config = { ...image.config, bytes: other.config.bytes, digest: other.config.digest };
    const manifest = JSON.parse(image.manifest.bytes.toString());
    manifest.config = { ...manifest.config, digest: config.digest, size: config.bytes.length };
    const bytes = Buffer.from(JSON.stringify(manifest));
    image = {
      ...image,
      config,
      manifest: { ...image.manifest, bytes, digest: digestOf(bytes), size: bytes.length },
    };
    await assert.rejects(pull(), { code: 'IMAGE_INVALID', message: /unpacks to/ });
  });
  it('with names and links that lead out of it changes nothing of the host', async () => {
    const outside = tempDir();
    const [first = []] = busybox().layers;
    const name = `n${count}`;
    const up = '../'.repeat(20);
    image = buildImage({
      layers: [
        first,
        [
          { name: `${up}${outside.path}/climbed`, content: 'x' },
          { name: `${outside.path}/absolute`, content: 'x' },
          { name: `way-${name}`, type: 'symlink', link: outside.path },
          { name: `way-${name}/through`, content: 'x' },
          { name: `high-${name}`, type: 'symlink', link: `${up}${outside.path}` },
          { name: `high-${name}/through`, content: 'x' },
        ],
      ],
    });
    await pull().catch((error) => assert.match(error.message, /can't unpack layer/));
    assert.deepEqual(readdirSync(outside.path), []);
    outside.remove();
  });
  it('may have names of any characters', async () => {
    const [first = []] = busybox().layers;
    const names = ['a\n\'b" $(c) \u0001', '你好', '-rf *', 'x'.repeat(99)];
    image = buildImage({ layers: [first, names.map((name) => ({ name, content: `${count}` }))] });
    await pull();
  });
  it('of another machine is refused with both named', async () => {
    image = buildImage({ ...busybox(), architecture: 's390x' });
    await assert.rejects(pull(), { code: 'IMAGE_PLATFORM', message: /linux\/s390x/ });
  });
  it('that does not fit says so, leaves nothing, and comes when there is room', async () => {
    const small = new PrivateContainerd();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small.directory]);
    const other = new ContainerdWorld(small);
    try {
      await small.start();
      const runtime = other.runtime();
      await runtime.open();
      const [first = []] = busybox().layers;
      image = buildImage({ layers: [first, [{ name: 'big', content: randomBytes(30 << 20) }]] });
      const wish = {
        image: `${host}/app:1`,
        auth: undefined,
        awaitsAuth: false,
        onManagers: false,
      };
      const ensure = () =>
        runtime.images.ensure({ ...wish, onProgress: () => undefined, signal: never });
      await assert.rejects(ensure(), {
        code: 'RESOURCE',
        temporary: true,
        message: /disk is full/,
      });
      await until('an empty containerd', () => small.blobs() === 0 || undefined);
      image = buildImage(busybox());
      await ensure();
      await runtime.close();
      await other.close();
    } finally {
      await small.kill();
      execFileSync('umount', ['-l', small.directory]);
      await small.close();
    }
  });
  it('that the registry has no more is taken from here', async () => {
    const ready = await pull();
    image = buildImage({ layers: [] });
    server.close();
    server.closeAllConnections();
    assert.equal((await pull()).digest, ready.digest);
  });
  it('that is removed leaves neither blobs nor snapshots', async () => {
    for (const { name } of await images.list()) await images.remove(name);
    await until('an empty containerd', () => engine.snapshots() === 0 || undefined);
    await until('no blob', () => engine.blobs() === 0 || undefined);
  });
});
