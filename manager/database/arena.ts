const BLOCK_BYTES_MIN = 64 << 10;
const BLOCK_BYTES_MAX = 2 << 20;

/**
 * Memory that is used again for each batch. Sealed values live only until LevelDB has copied them;
 * allocated anew they would make the garbage collector run several times a second under load.
 */
export class Arena {
  #block = Buffer.allocUnsafeSlow(BLOCK_BYTES_MIN);
  #used = 0;
  /** Bytes asked for since the last reset. */
  #wanted = 0;

  /** What was allocated before may be overwritten from now on. */
  reset(): void {
    if (this.#wanted > this.#block.length && this.#block.length < BLOCK_BYTES_MAX) {
      this.#block = Buffer.allocUnsafeSlow(Math.min(2 * this.#wanted, BLOCK_BYTES_MAX));
    }
    this.#used = 0;
    this.#wanted = 0;
  }

  /** Holds anything; memory of its own where the block has no room. */
  allocate(bytes: number): Buffer {
    this.#wanted += bytes;
    const end = this.#used + bytes;
    if (end > this.#block.length) return Buffer.allocUnsafe(bytes);
    const found = this.#block.subarray(this.#used, end);
    this.#used = end;
    return found;
  }
}
