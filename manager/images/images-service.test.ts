import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobData, FetchBlobRequest } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { BlobCopies } from './blob-copies.ts';
import type { BlobStore } from './blob-store.ts';
import { imagesService } from './images-service.ts';

const HERE = `sha256:${'1'.repeat(64)}`;

/** A manager that has one blob, of two pieces. */
function manager() {
  const blobs = {
    has: async (digest: string) => digest === HERE,
    async *read() {
      yield Buffer.from('one');
      yield Buffer.from('two');
    },
  } as unknown as BlobStore;
  const service = imagesService({ blobs, copies: {} as BlobCopies, clock: new ManualClock() });
  return (digest = HERE): AsyncIterator<BlobData> => {
    const request = FetchBlobRequest.create({ digest });
    const context = {} as CallContext;
    return service.fetchBlob(request, context)[Symbol.asyncIterator]();
  };
}

test('a manager gives images to so many at once, and to others when one has ended or gone', async () => {
  const fetch = manager();
  const given = Array.from({ length: LIMITS.blobStreamsMax }, () => fetch());
  for (const one of given) await one.next();
  await assert.rejects(fetch().next(), { code: 'OVERLOADED' });
  await given[0]!.return!();
  const next = fetch();
  assert.equal(Buffer.from((await next.next()).value.data).toString(), 'one');
  await assert.rejects(fetch().next(), { code: 'OVERLOADED' });
  while ((await given[1]!.next()).done !== true);
  assert.equal((await fetch().next()).done, false);
});

test('what a manager does not have takes no place of those that fetch', async () => {
  const fetch = manager();
  for (let at = 0; at <= LIMITS.blobStreamsMax; at++)
    await assert.rejects(fetch(`sha256:${'2'.repeat(64)}`).next(), { code: 'NOT_FOUND' });
  assert.equal((await fetch().next()).done, false);
});
