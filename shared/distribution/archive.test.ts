import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Archive, openArchive } from './archive.ts';
import { buildImage, dockerArchive, ociLayout, tar, writeLayout } from './image.fixture.ts';

const never = new AbortController().signal;
const image = buildImage({
  layers: [[{ name: 'a', content: 'one' }], [{ name: 'b', content: 'two' }]],
});

describe('a saved image', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'swarm-archive-'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function file(name: string, bytes: Uint8Array): string {
    writeFileSync(join(directory, name), bytes);
    return join(directory, name);
  }
  async function opened<T>(path: string, fn: (archive: Archive) => Promise<T>): Promise<T> {
    const archive = await openArchive(path);
    try {
      return await fn(archive);
    } finally {
      await archive.close();
    }
  }
  async function layerOf(archive: Archive, at: number): Promise<Buffer> {
    const [{ root } = assert.fail('no image')] = archive.images;
    const manifest = JSON.parse(Buffer.from(await archive.document(root, never)).toString());
    const parts: Uint8Array[] = [];
    const { bytes } = await archive.blob(manifest.layers[at], 0, never);
    for await (const part of bytes) parts.push(part);
    return Buffer.concat(parts);
  }

  it('of the old form gets a manifest, with its names and its layers', async () => {
    const path = file('old.tar', dockerArchive(image, ['app:1', 'app:latest']));
    await opened(path, async (archive) => {
      assert.deepEqual(archive.images[0]!.names, ['app:1', 'app:latest']);
      assert.deepEqual(await layerOf(archive, 1), image.plainLayers[1]);
    });
  });
  it('as a layout is read from a file and from a directory', async () => {
    const files = ociLayout(image, 'example.test/app:1');
    writeLayout(join(directory, 'layout'), files);
    const entries = [...files].map(([name, content]) => ({ name, content }));
    for (const path of [join(directory, 'layout'), file('layout.tar', tar(entries))]) {
      await opened(path, async (archive) => {
        assert.deepEqual(archive.images[0]!.names, ['example.test/app:1']);
        assert.equal(archive.images[0]!.root.digest, image.manifest.digest);
        assert.deepEqual(await layerOf(archive, 0), image.layers[0]!.bytes);
      });
    }
  });
  it('may link from one layer to another', async () => {
    const config = { name: 'config.json', content: image.config.bytes };
    const layers = ['real/layer.tar', 'link/layer.tar'];
    const twice = buildImage({
      layers: [[{ name: 'a', content: 'x' }], [{ name: 'a', content: 'x' }]],
    });
    const manifest = [{ Config: 'config.json', RepoTags: null, Layers: layers }];
    const path = file(
      'links.tar',
      tar([
        { ...config, content: twice.config.bytes },
        { name: layers[0]!, content: twice.plainLayers[0]! },
        { name: layers[1]!, type: 'symlink', link: '../real/layer.tar' },
        { name: 'manifest.json', content: JSON.stringify(manifest) },
      ]),
    );
    await opened(path, async (archive) => {
      assert.deepEqual(await layerOf(archive, 1), twice.plainLayers[0]);
    });
  });
  it('is refused with the reason when it is none', async () => {
    const whole = dockerArchive(image, ['app:1']);
    const damaged = Buffer.from(whole);
    damaged[whole.indexOf('layer1/layer.tar') + 512 + 512] = 0x58;
    const cases: readonly [string, Uint8Array, RegExp][] = [
      ['empty', Buffer.alloc(0), /no archive/],
      ['text', Buffer.from('x'.repeat(2048)), /no archive|damaged/],
      ['cut', whole.subarray(0, 700), /cut off/],
      ['gzip', gzipSync(whole), /compressed/],
      ['other', tar([{ name: 'readme', content: 'x' }]), /neither/],
      ['damaged', damaged, /damaged/],
    ];
    for (const [name, bytes, text] of cases) {
      await assert.rejects(openArchive(file(name, bytes)), text, name);
    }
  });
  it('can not name anything outside itself', async () => {
    const entry = { Config: '../../../../etc/passwd', RepoTags: ['x:1'], Layers: [] };
    const path = file(
      'out.tar',
      tar([{ name: 'manifest.json', content: JSON.stringify([entry]) }]),
    );
    await assert.rejects(openArchive(path), { code: 'IMAGE_INVALID' });
  });
});
