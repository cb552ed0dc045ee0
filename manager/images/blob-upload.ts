import type { BlobUpload } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { BlobStore } from './blob-store.ts';

/** Writes the blobs of one upload: each is begun by its digest and length, its bytes follow. */
export async function receiveBlobs(
  blobs: BlobStore,
  uploads: AsyncIterable<BlobUpload>,
): Promise<void> {
  const items = uploads[Symbol.asyncIterator]();
  let next = await items.next();
  while (next.done !== true) {
    const blob = next.value.blob;
    if (blob === null) throw new SwarmError('INVALID_ARGUMENT', 'an upload begins with a digest');
    let first: Uint8Array | undefined = next.value.data;
    const bytes = async function* (): AsyncIterable<Uint8Array> {
      if (first !== undefined && first.length > 0) yield first;
      first = undefined;
      for (next = await items.next(); next.done !== true; next = await items.next()) {
        if (next.value.blob !== null) return;
        yield next.value.data;
      }
    };
    const origin = async () => ({ offset: 0, bytes: bytes() });
    await blobs.write(blob, origin, () => undefined);
    // It was here already: what came for it is passed over.
    if (first !== undefined) for await (const _ of bytes());
  }
}
