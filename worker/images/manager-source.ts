import { FetchBlobRequest, ImagesService } from '../../proto/index.ts';
import { type Clock, delay } from '../../shared/clock.ts';
import type { Descriptor } from '../../shared/distribution/documents.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import type { BlobStream, ImageSource } from '../../shared/distribution/source.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

export interface ManagerSourceDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly managers: () => readonly string[];
  /** A connection of its own: images are large, and nothing else is to wait for them. */
  readonly dial: (address: string) => Client;
}

/** Rounds over all managers, while some of them only have too much to do. */
const ROUNDS_MAX = 30;
const PAUSE_MS = 1_000;

/** Images as the managers keep them, by digest, from whichever manager has time for it. */
export class ManagerSource implements ImageSource {
  readonly from = 'the managers';
  readonly #deps: ManagerSourceDeps;

  constructor(deps: ManagerSourceDeps) {
    this.#deps = deps;
  }
  async document({ digest }: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of await this.#open(digest, 0, signal)) {
      parts.push(part);
      size += part.length;
      if (size > LIMITS.imageDocumentBytesMax)
        throw new ImageError('IMAGE_INVALID', `the managers have too large a document ${digest}`);
    }
    return Buffer.concat(parts);
  }
  async blob({ digest }: Descriptor, offset: number, signal: AbortSignal): Promise<BlobStream> {
    return { offset, bytes: await this.#open(digest, offset, signal) };
  }

  /** Asks one manager after the other, beginning anywhere, so that they share the work. */
  async #open(
    digest: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    let last: unknown;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const managers = this.#deps.managers();
      const start = managers.length > 0 ? this.#deps.random.below(managers.length) : 0;
      let busy = false;
      for (const at of managers.keys()) {
        const address = managers[(start + at) % managers.length]!;
        try {
          return await this.#begin(address, digest, offset, signal);
        } catch (error) {
          signal.throwIfAborted();
          last = error;
          busy ||= SwarmError.is(error) && error.code === 'OVERLOADED';
        }
      }
      if (!busy) break;
      await delay(this.#deps.clock, PAUSE_MS);
      signal.throwIfAborted();
    }
    throw this.#failure(digest, last);
  }
  /** Resolves when the manager has begun to send. */
  async #begin(
    address: string,
    digest: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const client = this.#deps.dial(address);
    const given = new AbortController();
    const both = AbortSignal.any([signal, given.signal]);
    const request = FetchBlobRequest.create({ digest, offset });
    const stream = client.serverStream(ImagesService.fetchBlob, request, { signal: both });
    const items = stream[Symbol.asyncIterator]();
    const next = () => this.#spoken(items.next(), given);
    try {
      let item = await next();
      const failure = (error: unknown) => this.#failure(digest, error);
      return (async function* () {
        try {
          for (; item.done !== true; item = await next()) yield item.value.data;
        } catch (error) {
          signal.throwIfAborted();
          throw failure(error);
        } finally {
          given.abort();
          client.close();
        }
      })();
    } catch (error) {
      client.close();
      throw error;
    }
  }
  /** A manager that says nothing for long is given up. */
  async #spoken<T>(next: Promise<T>, given: AbortController): Promise<T> {
    const error = new SwarmError('UNREACHABLE', 'a manager sent nothing for too long');
    const timer = this.#deps.clock.setTimer(LIMITS.blobSilentMs, () => given.abort(error));
    return next.finally(() => timer.cancel());
  }
  #failure(digest: string, error: unknown): ImageError {
    if (error instanceof ImageError) return error;
    const missing = SwarmError.is(error) && error.code === 'NOT_FOUND';
    return missing
      ? new ImageError('IMAGE_NOT_FOUND', `no manager has ${digest}`, false, error)
      : new ImageError(
          'PULL_FAILED',
          `can't get ${digest} from a manager: ${messageOf(error)}`,
          true,
          error,
        );
  }
}
