/** A fixed number of bits with a fast search for a clear one. */
export class Bitmap {
  readonly size: number;
  readonly #words: Uint32Array;

  constructor(size: number) {
    this.size = size;
    this.#words = new Uint32Array(Math.ceil(size / 32));
  }
  has(at: number): boolean {
    return (this.#words[at >>> 5]! & (1 << (at & 31))) !== 0;
  }
  add(at: number): void {
    this.#words[at >>> 5]! |= 1 << (at & 31);
  }
  delete(at: number): void {
    this.#words[at >>> 5]! &= ~(1 << (at & 31));
  }
  /** The first clear bit of `from` to `to` (not included); -1: none. */
  firstClear(from: number, to: number): number {
    for (let at = from; at < to; ) {
      const word = this.#words[at >>> 5]!;
      if (word === 0xffff_ffff) at = ((at >>> 5) + 1) << 5;
      else if ((word & (1 << (at & 31))) === 0) return at;
      else at++;
    }
    return -1;
  }
  /** Bits that are set, in order. */
  *all(): Iterable<number> {
    for (let at = 0; at < this.size; at++) if (this.has(at)) yield at;
  }
}
