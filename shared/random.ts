import { randomBytes } from 'node:crypto';

/**
 * Randomness comes in through constructors. A stream has its own sequence, so that a new consumer
 * does not shift another's.
 */
export interface Random {
  /** An integer in [0, bound). `bound` is at most 2^32. */
  below(bound: number): number;
  bytes(count: number): Uint8Array;
  stream(name: string): Random;
}

export class SystemRandom implements Random {
  below(bound: number): number {
    return Math.floor((randomBytes(6).readUIntBE(0, 6) / 2 ** 48) * bound);
  }
  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
  stream(): Random {
    return this;
  }
}

/** Repeatable: the same seed and the same stream name give the same sequence (sfc32). */
export class SeededRandom implements Random {
  readonly #seed: number;
  readonly #state: Uint32Array;

  constructor(seed: number, name = '') {
    this.#seed = seed >>> 0;
    let hash = 2166136261 ^ this.#seed;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
    this.#state = new Uint32Array([0x9e3779b9 ^ hash, 0x243f6a88 ^ this.#seed, hash >>> 0, 1]);
    for (let i = 0; i < 12; i++) this.#next();
  }
  below(bound: number): number {
    return Math.floor((this.#next() / 2 ** 32) * bound);
  }
  bytes(count: number): Uint8Array {
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i++) out[i] = this.#next() & 0xff;
    return out;
  }
  stream(name: string): Random {
    return new SeededRandom(this.#seed, name);
  }
  #next(): number {
    const s = this.#state;
    const [a, b, c, d] = [s[0]!, s[1]!, s[2]!, s[3]!];
    const t = (a + b + d) >>> 0;
    s[3] = d + 1;
    s[0] = b ^ (b >>> 9);
    s[1] = c + (c << 3);
    s[2] = ((c << 21) | (c >>> 11)) + t;
    return t;
  }
}
