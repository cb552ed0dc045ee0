import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImagesService } from '../../proto/containerd.ts';
import { ManualClock } from '../../shared/clock.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import type { Registry } from '../../shared/distribution/registry.ts';
import type { ImageSource } from '../../shared/distribution/source.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { type Containerd, ContainerdError } from '../containerd.ts';
import { ImageStore, type ImageWish } from './image-store.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;

test('tasks of one image that come together ask containerd for it once', async () => {
  const { store, asked } = emptyStore();
  const wishes = [wish('web'), wish('web'), wish('web')];
  const results = await Promise.allSettled(wishes.map((each) => store.ensure(each)));
  assert.ok(results.every(({ status }) => status === 'rejected'));
  assert.equal(asked(), 1);
});

test('who comes later asks again', async () => {
  const { store, asked } = emptyStore();
  for (let at = 0; at < 2; at++) await assert.rejects(store.ensure(wish('web')), /broken/);
  assert.equal(asked(), 2);
});

test('other images are asked for by themselves', async () => {
  const { store, asked } = emptyStore();
  await Promise.allSettled([store.ensure(wish('web')), store.ensure(wish('db'))]);
  assert.equal(asked(), 2);
});

/** An image that the managers keep. */
function wish(name: string): ImageWish {
  const { signal } = new AbortController();
  const image = `registry.test/${name}@${DIGEST}`;
  const onProgress = (): void => undefined;
  return { image, auth: undefined, awaitsAuth: false, onManagers: true, onProgress, signal };
}

/** On a containerd without images, with managers that keep broken ones. */
function emptyStore() {
  let asked = 0;
  const containerd: Containerd = {
    async call(method) {
      if (method.path === ImagesService.get.path) {
        asked++;
        throw new ContainerdError('NOT_FOUND', 'no such image');
      }
      return method.response.create({} as Parameters<typeof method.response.create>[0]);
    },
    list: () => assert.fail('nothing is listed'),
    write: () => assert.fail('nothing is written'),
    close: () => undefined,
  };
  const managers: ImageSource = {
    from: 'managers',
    document: () => Promise.reject(new ImageError('IMAGE_INVALID', 'it is broken')),
    blob: () => assert.fail('no layer is asked for'),
  };
  const clock = new ManualClock();
  const random = new SeededRandom(1);
  const rest = { registry: {} as unknown as Registry, log: silentLog, architecture: 'amd64' };
  const store = new ImageStore({ containerd, managers, clock, random, ...rest });
  return { store, asked: () => asked };
}
