import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

const LIFE_MS = 60_000;
const RANDOM_BYTES = 16;
const TIME_BYTES = 8;

/**
 * Nonces for renewal that nobody has to remember: any manager (they all hold the root key) can tell
 * that one of them made it, for which node and when. One lives for a minute; within it a replay
 * gets the same node a certificate for the same key.
 */
export class Nonces {
  readonly #key: Buffer;

  constructor(rootKeyPem: string) {
    this.#key = createHash('sha256').update('swarm renewal nonce\0').update(rootKeyPem).digest();
  }

  make(nodeId: string, wallMs: number, random: Uint8Array): Buffer {
    const head = Buffer.alloc(RANDOM_BYTES + TIME_BYTES);
    head.set(random.subarray(0, RANDOM_BYTES));
    head.writeBigUInt64BE(BigInt(Math.floor(wallMs)), RANDOM_BYTES);
    return Buffer.concat([head, this.#seal(nodeId, head)]);
  }

  valid(nonce: Uint8Array, nodeId: string, wallMs: number): boolean {
    const bytes = Buffer.from(nonce);
    const head = bytes.subarray(0, RANDOM_BYTES + TIME_BYTES);
    const seal = bytes.subarray(RANDOM_BYTES + TIME_BYTES);
    const expected = this.#seal(nodeId, head);
    if (seal.length !== expected.length || !timingSafeEqual(seal, expected)) return false;
    const ageMs = wallMs - Number(head.readBigUInt64BE(RANDOM_BYTES));
    return Math.abs(ageMs) <= LIFE_MS;
  }

  #seal(nodeId: string, head: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(head).update(nodeId).digest();
  }
}
