import { type Random, SeededRandom } from '../../../shared/random.ts';

/** Streams of streams differ: the name of each has those of all above it. */
export class NestedRandom implements Random {
  readonly #seed: number;
  readonly #path: string;
  readonly #numbers: SeededRandom;

  constructor(seed: number, path = '') {
    this.#seed = seed;
    this.#path = path;
    this.#numbers = new SeededRandom(seed, path);
  }
  below(bound: number): number {
    return this.#numbers.below(bound);
  }
  bytes(count: number): Uint8Array {
    return this.#numbers.bytes(count);
  }
  stream(name: string): Random {
    return new NestedRandom(this.#seed, `${this.#path}/${name}`);
  }
}
