import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  AddImageRequest,
  ListRequest,
  PruneImagesRequest,
  RemoveImageRequest,
} from '../../proto/index.ts';
import { type BuiltImage, buildImage } from '../../shared/distribution/image.fixture.ts';
import { aSpec, collect, context, Fixture } from './control.fixture.ts';

const one = buildImage({
  layers: [[{ name: 'shared', content: 's' }], [{ name: 'a', content: '1' }]],
});
const two = buildImage({
  layers: [[{ name: 'shared', content: 's' }], [{ name: 'a', content: '2' }]],
});

describe('images that managers keep', () => {
  let directory: string;
  let at: Fixture;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'swarm-images-'));
    at = new Fixture(directory);
    await at.voter('n1', 1);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const partsOf = (image: BuiltImage) => [image.manifest, image.config, ...image.layers];
  async function place(image: BuiltImage): Promise<void> {
    for (const { digest, size, bytes } of partsOf(image)) {
      const whole = async function* () {
        yield bytes;
      };
      const origin = async () => ({ offset: 0, bytes: whole() });
      await at.blobs.write({ digest, size }, origin, () => undefined);
    }
  }
  function add(image: BuiltImage, names: readonly string[], origin = 'loaded') {
    const { digest, size, mediaType } = image.manifest;
    const blobs = partsOf(image).map((part) => ({ digest: part.digest, size: part.size }));
    const root = { digest, size };
    const request = AddImageRequest.create({ names, root, mediaType, blobs, holder: 'n1', origin });
    return collect(at.control.addImage(request, context()));
  }
  async function load(image: BuiltImage, ...names: string[]): Promise<void> {
    await place(image);
    await add(image, names);
  }
  async function names(): Promise<string[]> {
    const { images } = await at.control.listImages(ListRequest.create(), context());
    return images.map(({ image }) => image!.id);
  }
  const blobRows = (): number => at.store.view.table('imageBlob').size;
  const remove = (ref: string, force = false) =>
    at.control.removeImage(RemoveImageRequest.create({ ref, force }), context());

  it('have a row for each name and each part, and share what is the same', async () => {
    await load(one, 'app:1', 'team/app');
    assert.deepEqual(await names(), ['docker.io/library/app:1', 'docker.io/team/app:latest']);
    assert.equal(blobRows(), 4);
    await load(two, 'app:2');
    assert.equal(blobRows(), 7);
    const { bytes } = await remove('app:2');
    assert.equal(bytes, two.manifest.size + two.config.size + two.layers[1]!.size);
    assert.equal(blobRows(), 4);
  });
  it('let go of the parts of what their name meant before', async () => {
    await load(one, 'app:1');
    await load(two, 'app:1');
    assert.equal(blobRows(), 4);
    assert.ok(at.store.view.table('imageBlob').has(two.manifest.digest));
  });
  it('are what a service of that name is pinned to, and stay while it may roll back', async () => {
    await load(one, 'app:1');
    const spec = aSpec({ task: { container: { image: 'app:1' } } });
    await at.create(spec);
    const [service] = [...at.store.view.table('service').all()];
    assert.equal(service!.spec!.task!.container!.image, `app:1@${one.manifest.digest}`);
    await assert.rejects(remove('app:1'), { code: 'IN_USE', message: /is used by web/ });
    const pruned = await at.control.pruneImages(PruneImagesRequest.create(), context());
    assert.deepEqual(pruned.names, []);
    await remove(one.manifest.digest.slice('sha256:'.length, 20), true);
    assert.deepEqual(await names(), []);
  });
  it('are not added while parts are missing or the image is not whole', async () => {
    await assert.rejects(add(one, ['app:1']), { code: 'PRECONDITION', message: /no quorum/ });
    await place({ ...one, layers: one.layers.slice(1) });
    const { digest, size, mediaType } = one.manifest;
    const request = AddImageRequest.create({
      names: ['app:1'],
      root: { digest, size },
      mediaType,
      holder: 'n1',
      origin: 'loaded',
    });
    const adding = collect(at.control.addImage(request, context()));
    await assert.rejects(adding, { code: 'INVALID_ARGUMENT', message: /not whole/ });
    assert.equal(blobRows(), 0);
  });
  it('are refused without a name, or with one that is none', async () => {
    await place(one);
    const digest = `app@${one.manifest.digest}`;
    for (const wrong of [[], ['Upper'], [digest], ['a b']])
      await assert.rejects(add(one, wrong), { code: 'INVALID_SPEC' }, `${wrong}`);
    await assert.rejects(add(one, ['app'], 'elsewhere'), { code: 'INVALID_SPEC' });
    await assert.rejects(remove('none:1'), { code: 'NOT_FOUND' });
  });
});
