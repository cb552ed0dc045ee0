import { createHash } from 'node:crypto';

/** A row as it is sent: encoded once, shared by all streams that carry it. */
export interface Item {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

export function makeItem(id: string, bytes: Uint8Array): Item {
  return { id, bytes, hash: createHash('sha256').update(bytes).digest() };
}

export const NO_DIGEST: Uint8Array = new Uint8Array(32);

/**
 * Items by id with a digest of all of them: the exclusive or of their hashes, so that a change costs
 * the same however many there are, and order does not matter. It guards against difference by
 * accident, not against an adversary: who sends it is who sends the items.
 */
export class ItemSet {
  readonly #items = new Map<string, Item>();
  readonly #digest = new Uint8Array(32);

  get size(): number {
    return this.#items.size;
  }
  get(id: string): Item | undefined {
    return this.#items.get(id);
  }
  all(): Iterable<Item> {
    return this.#items.values();
  }
  /** Puts or, with `undefined`, removes; false when nothing changed. */
  set(id: string, item: Item | undefined): boolean {
    const before = this.#items.get(id);
    if (before === undefined && item === undefined) return false;
    if (before !== undefined && item !== undefined && isEqual(before.hash, item.hash)) return false;
    if (before !== undefined) xor(this.#digest, before.hash);
    if (item === undefined) this.#items.delete(id);
    else {
      xor(this.#digest, item.hash);
      this.#items.set(id, item);
    }
    return true;
  }
  clear(): void {
    this.#items.clear();
    this.#digest.fill(0);
  }
  /** A copy. */
  digest(): Uint8Array {
    return this.#digest.slice();
  }
}

/** The digest of two sets together. */
export function joinDigests(left: Uint8Array, right: Uint8Array): Uint8Array {
  const joined = left.slice();
  xor(joined, right);
  return joined;
}

export function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

function xor(target: Uint8Array, other: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) ^ (other[i] ?? 0);
}
