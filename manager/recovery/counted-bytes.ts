import { createHash } from 'node:crypto';

/** Pieces of a file one by one, with the size and digest of all of them. */
export class CountedBytes {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(file: AsyncIterable<Uint8Array>) {
    this.#pieces = file[Symbol.asyncIterator]();
  }

  /** Undefined at the end of the file. */
  async next(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#pieces.next();
    if (done === true) return undefined;
    this.#bytes += value.length;
    this.#hash.update(value);
    return value;
  }

  end(): { readonly bytes: number; readonly sha256: Uint8Array } {
    return { bytes: this.#bytes, sha256: this.#hash.digest() };
  }
}
