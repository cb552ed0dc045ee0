import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { ContentService, LeasesService, WriteAction } from '../../proto/containerd.ts';
import { ManualClock } from '../../shared/clock.ts';
import { type Descriptor, sha256 } from '../../shared/distribution/documents.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import type { BlobStream, ImageSource } from '../../shared/distribution/source.ts';
import { LIMITS } from '../../shared/limits.ts';
import { SeededRandom } from '../../shared/random.ts';
import { type Containerd, ContainerdError } from '../containerd.ts';
import { LayerStore } from './layer-store.ts';

const BYTES = Buffer.from('all of a layer');
const LAYER: Descriptor = { mediaType: '', digest: sha256(BYTES), size: BYTES.length };

/** Keeps blobs in memory; what was begun and not committed stays, as in containerd. */
class MemoryContent {
  readonly ingests = new Map<string, Buffer>();
  readonly blobs = new Map<string, Buffer>();
  /** What leases hold and what was looked for, in the order of the calls. */
  readonly asked: string[] = [];
  /** How many streams will find the place taken by one that has just ended. */
  locked = 0;

  client(): Containerd {
    const { blobs, ingests, asked } = this;
    const isLocked = (): boolean => this.locked-- > 0;
    return {
      async call(method, request) {
        const { digest = '', ref = '' } = request as { digest?: string; ref?: string };
        const empty = () =>
          method.response.create({} as Parameters<typeof method.response.create>[0]);
        const { resource } = request as { resource?: { type: string; id: string } };
        asked.push(resource ? `hold ${resource.type} ${resource.id}` : `look for ${digest}`);
        if (method.path === ContentService.abort.path) ingests.delete(ref);
        else if (method.path === LeasesService.addResource.path) return empty();
        else if (!blobs.has(digest)) throw new ContainerdError('NOT_FOUND', digest);
        return empty();
      },
      list: () => assert.fail('nothing is listed'),
      write: () => ({
        async send(request) {
          const { action, data } = request;
          const [ref, expected] = [request.ref ?? '', request.expected ?? ''];
          if (isLocked())
            throw new ContainerdError('UNAVAILABLE', `ref ${ref} locked for 21ms: unavailable`);
          if (blobs.has(expected)) throw new ContainerdError('ALREADY_EXISTS', expected);
          const bytes = Buffer.concat([
            ingests.get(ref) ?? Buffer.alloc(0),
            data ?? Buffer.alloc(0),
          ]);
          ingests.set(ref, bytes);
          if (action === WriteAction.COMMIT) {
            blobs.set(expected, bytes);
            ingests.delete(ref);
          }
          return ContentService.write.response.create({ offset: bytes.length });
        },
        close: () => undefined,
      }),
      close: () => undefined,
    };
  }
}

describe('a layer', () => {
  let clock: ManualClock;
  let content: MemoryContent;
  let store: LayerStore;
  let asked: number;

  beforeEach(() => {
    clock = new ManualClock();
    content = new MemoryContent();
    store = new LayerStore(content.client(), new SeededRandom(1), clock);
    asked = 0;
  });
  /** `give`: what comes of the layer from an offset, and how that ends. */
  function ensure(give: (offset: number) => AsyncIterable<Uint8Array>): Promise<void> {
    const source: ImageSource = {
      from: 'a registry',
      document: () => assert.fail('no document is asked for'),
      blob: async (_descriptor, offset): Promise<BlobStream> => {
        asked++;
        return { offset, bytes: give(offset) };
      },
    };
    const signal = new AbortController().signal;
    return store.ensureBlob(LAYER, { source, lease: '', signal, onProgress: () => undefined });
  }
  async function* all(offset: number): AsyncIterable<Uint8Array> {
    yield BYTES.subarray(offset);
  }
  async function* nothing(): AsyncIterable<Uint8Array> {
    await new Promise(() => undefined);
  }
  async function settle(): Promise<void> {
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  it('that is here is held before it is looked for: who else holds it may let it go', async () => {
    content.blobs.set(LAYER.digest, BYTES);
    await ensure(nothing);
    assert.deepEqual(content.asked, [`hold content ${LAYER.digest}`, `look for ${LAYER.digest}`]);
  });
  it('that a hanging registry was to give first is fetched by who else wants it', async () => {
    void ensure(nothing);
    await settle();
    let came = false;
    const second = ensure(all).then(() => {
      came = true;
    });
    clock.advance(LIMITS.blobStillMs - 1);
    await settle();
    assert.deepEqual([came, asked], [false, 1]);
    clock.advance(1);
    await second;
    assert.deepEqual(content.blobs.get(LAYER.digest), BYTES);
  });
  it('is fetched once by many as long as it comes', async () => {
    let give: () => void = () => undefined;
    const given = new Promise<void>((resolve) => {
      give = resolve;
    });
    async function* slowly(offset: number): AsyncIterable<Uint8Array> {
      await given;
      yield* all(offset);
    }
    const both = [ensure(slowly), ensure(slowly)];
    await settle();
    give();
    await Promise.all(both);
    assert.equal(asked, 1);
  });
  it('is written when containerd has noticed that who wrote it before is gone', async () => {
    content.locked = 2;
    const writing = ensure(all);
    for (let times = 0; times < 2; times++) {
      await settle();
      assert.equal(content.blobs.size, 0);
      clock.advance(20);
    }
    await writing;
    assert.deepEqual(content.blobs.get(LAYER.digest), BYTES);
  });
  it('goes on where it broke off, and says how far it is where nothing more comes', async () => {
    const broken = new ImageError('PULL_FAILED', 'the answer of r:5000 broke off', true);
    async function* half(offset: number): AsyncIterable<Uint8Array> {
      if (offset === 0) yield BYTES.subarray(0, 6);
      throw broken;
    }
    await assert.rejects(ensure(half), {
      code: 'PULL_FAILED',
      temporary: true,
      message: `can't get layer ${LAYER.digest} (6 of 14 bytes came): ${broken.message}`,
    });
    assert.equal(asked, 2);
    await ensure(all);
    assert.deepEqual(content.blobs.get(LAYER.digest), BYTES);
  });
});
