import { type BlobData, FetchBlobRequest, ImagesService, type Member } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Store } from '../store/view.ts';
import type { BlobSize, BlobStore } from './blob-store.ts';

export interface BlobCopiesDeps {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly selfNodeId: string;
  /** A connection of its own: images are large, and nothing else is to wait for them. */
  dial(address: string): Client;
}

/** Fetches blobs from other managers. */
export class BlobCopies {
  readonly #deps: BlobCopiesDeps;

  constructor(deps: BlobCopiesDeps) {
    this.#deps = deps;
  }
  /**
   * Resolves when all of them are on this manager's disk: what is missing comes from the manager
   * `holder`, or from any other where it has it no more. Rejects with the last reason.
   */
  async fetch(
    blobs: readonly BlobSize[],
    holder: string,
    signal: AbortSignal,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const missing = await this.#deps.blobs.missing(blobs, this.#deps.clock.wallMs());
    const lacking = new Set(missing.map(({ digest }) => digest));
    for (const { digest, size } of blobs) if (!lacking.has(digest)) onBytes(size);
    for (const blob of missing) await this.#fetchOne(blob, holder, signal, onBytes);
  }
  async #fetchOne(
    blob: BlobSize,
    holder: string,
    signal: AbortSignal,
    onBytes: (count: number) => void,
  ): Promise<void> {
    let last: unknown = new SwarmError('UNREACHABLE', `no other manager has ${blob.digest}`);
    for (const { address } of this.#others(holder)) {
      const client = this.#deps.dial(address);
      try {
        const bytesOf = (offset: number) => this.#receive(client, blob.digest, offset, signal);
        const origin = async (offset: number) => ({ offset, bytes: bytesOf(offset) });
        await this.#deps.blobs.write(blob, origin, onBytes);
        return;
      } catch (error) {
        signal.throwIfAborted();
        last = error;
        if (SwarmError.is(error) && error.code === 'READ_ONLY') throw error;
      } finally {
        client.close();
      }
    }
    throw last;
  }
  #others(holder: string): readonly Member[] {
    const { store, selfNodeId } = this.#deps;
    const members = [...store.view.table('member').all()].filter(
      ({ id, address }) => id !== selfNodeId && address !== '',
    );
    return members.sort((a, b) => Number(b.id === holder) - Number(a.id === holder));
  }
  async *#receive(
    client: Client,
    digest: string,
    offset: number,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const request = FetchBlobRequest.create({ digest, offset });
    const options = { signal };
    const stream = client.serverStream(ImagesService.fetchBlob, request, options);
    for await (const item of spoken<BlobData>(this.#deps.clock, stream)) yield item.data;
  }
}

/** The items of a stream; one that is silent for too long has failed. */
export async function* spoken<T>(clock: Clock, items: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      let silent: (error: SwarmError) => void = () => undefined;
      const silence = new Promise<never>((_resolve, reject) => {
        silent = reject;
      });
      const timer = clock.setTimer(LIMITS.blobSilentMs, () =>
        silent(new SwarmError('UNREACHABLE', 'a copy of an image does not go on')),
      );
      const next = await Promise.race([iterator.next(), silence]).finally(() => timer.cancel());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: a stream that is silent may not end either.
    void iterator.return?.()?.catch(() => undefined);
  }
}
