import {
  BlobData,
  CopyBlobsProgress,
  type CopyBlobsRequest,
  type FetchBlobRequest,
  type ImagesService,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext, Handlers } from '../../shared/rpc/rpc.ts';
import type { BlobCopies } from './blob-copies.ts';
import type { BlobStore } from './blob-store.ts';

const PROGRESS_BYTES = 4 << 20;

/** What this manager's disk has of images, for nodes and for other managers. */
export function imagesService(deps: {
  readonly blobs: BlobStore;
  readonly copies: BlobCopies;
  readonly clock: Clock;
}): Handlers<typeof ImagesService> {
  let streams = 0;
  return {
    async *fetchBlob({ digest, offset }: FetchBlobRequest) {
      if (!(await deps.blobs.has(digest)))
        throw new SwarmError('NOT_FOUND', `this manager has no ${digest.slice(0, 100)}`);
      if (streams >= LIMITS.blobStreamsMax)
        throw new SwarmError('OVERLOADED', 'this manager gives images to many nodes already');
      streams++;
      try {
        for await (const data of deps.blobs.read(digest, offset)) yield BlobData.create({ data });
      } finally {
        streams--;
      }
    },
    copyBlobs: (request, context) => copyBlobs(deps.copies, request, context),
  };
}

async function* copyBlobs(
  copies: BlobCopies,
  request: CopyBlobsRequest,
  context: CallContext,
): AsyncIterable<CopyBlobsProgress> {
  const bytes = new Counter();
  const copying = copies
    .fetch(request.blobs, request.holder, context.signal, (count) => bytes.add(count))
    .finally(() => bytes.end());
  copying.catch(() => undefined);
  for await (const doneBytes of bytes.steps()) yield CopyBlobsProgress.create({ doneBytes });
  await copying;
  yield CopyBlobsProgress.create({ doneBytes: bytes.total });
}

/** Says from time to time how many bytes there were. */
class Counter {
  total = 0;
  #told = 0;
  #ended = false;
  #wake: () => void = () => undefined;

  add(count: number): void {
    this.total += count;
    if (this.total - this.#told >= PROGRESS_BYTES) this.#wake();
  }
  end(): void {
    this.#ended = true;
    this.#wake();
  }
  async *steps(): AsyncIterable<number> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#told = this.total;
      yield this.total;
    }
  }
}
