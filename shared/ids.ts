import { customAlphabet } from 'nanoid';
import type { Random } from './random.ts';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 25;

/** Object ids: 25 characters of base 36, as swarmkit's. */
export interface IdSource {
  next(): string;
}

export class SystemIds implements IdSource {
  readonly next: () => string = customAlphabet(ALPHABET, ID_LENGTH);
}

export class SeededIds implements IdSource {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }
  next(): string {
    let id = '';
    for (let i = 0; i < ID_LENGTH; i++) id += ALPHABET[this.#random.below(36)];
    return id;
  }
}

/** Raft ids: 1 … 2^53-1, random, never used twice. */
export function newRaftId(random: Random): number {
  return random.below(2 ** 21) * 2 ** 32 + random.below(2 ** 32) + 1;
}

export function isId(text: string): boolean {
  return text.length === ID_LENGTH && /^[0-9a-z]+$/.test(text);
}

/** Whether it is one name in a path, and no way out of it: ids that others send become directories. */
export function isPathName(text: string): boolean {
  return text.length <= 128 && /^[\w-][\w.-]*$/.test(text);
}
