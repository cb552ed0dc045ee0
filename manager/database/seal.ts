import { createCipheriv, createDecipheriv } from 'node:crypto';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import { crc32, crc32OfText, crc32Portable } from './crc.ts';

/**
 * How a value lies on disk. LevelDB has no checksum that reaches us, so every value brings one.
 *
 *     plain:   kind 1 | key id 0 | crc32 of key, first two bytes and payload | payload
 *     secret:  kind 2 | key id   | nonce 12 | tag 16 | AES-256-GCM of the payload
 *
 * The key is part of checksum and authenticated data: a value under another key is found out.
 */
const PLAIN = 1;
const SECRET = 2;
const PLAIN_HEADER = 6;
const SECRET_HEADER = 30;
const NONCE_BYTES = 12;
/** The first two bytes of a plain value. */
const PLAIN_START = '\x01\0';
/** For less than this a call into Node's checksum costs more than it saves. */
const SHORT_BYTES = 128;

/** The data keys of one manager: new values use the highest id, old ones name theirs (1–255). */
export interface DataKeys {
  readonly current: number;
  readonly keys: ReadonlyMap<number, Uint8Array>;
}

export interface Opened {
  readonly payload: Uint8Array;
  readonly secret: boolean;
}

export type Allocate = (bytes: number) => Buffer;

export class Sealer {
  readonly #keys: DataKeys;
  readonly #random: Random;
  /** 8 random bytes and a counter: unique without asking for randomness for every value. */
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  #used = 0xffffffff;

  constructor(keys: DataKeys, random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  /** `allocate` gives the memory of the result. */
  seal(
    key: Uint8Array,
    payload: Uint8Array,
    secret: boolean,
    allocate: Allocate = Buffer.allocUnsafe,
  ): Uint8Array {
    return secret ? this.#encrypt(key, payload, allocate) : protect(key, payload, allocate);
  }

  /** Throws DAMAGED when the value is not what was written under this key. */
  open(key: Uint8Array, value: Uint8Array): Opened {
    const kind = value[0];
    if (kind === PLAIN && value.length >= PLAIN_HEADER) {
      return { payload: verify(key, asBuffer(value)), secret: false };
    }
    if (kind === SECRET && value.length >= SECRET_HEADER) {
      return { payload: this.#decrypt(key, asBuffer(value)), secret: true };
    }
    throw damaged(key, 'has no known form');
  }

  /** The same for the key `prefix` + `name`; `prefixCrc` is the checksum of the prefix. */
  openNamed(prefix: Uint8Array, prefixCrc: number, name: string, value: Uint8Array): Opened {
    if (value[0] !== PLAIN || value[1] !== 0 || value.length < PLAIN_HEADER) {
      return this.open(Buffer.concat([prefix, Buffer.from(name)]), value);
    }
    const header = crc32OfText(PLAIN_START, crc32OfText(name, prefixCrc));
    const payload = value.subarray(PLAIN_HEADER);
    const expected = payload.length < SHORT_BYTES ? crc32Portable : crc32;
    if (expected(payload, header) !== readCrc(value)) {
      throw damaged(Buffer.concat([prefix, Buffer.from(name)]), 'fails its checksum');
    }
    return { payload, secret: false };
  }

  #encrypt(key: Uint8Array, payload: Uint8Array, allocate: Allocate): Uint8Array {
    const dataKey = this.#keys.keys.get(this.#keys.current)!;
    const nonce = this.#nextNonce();
    const cipher = createCipheriv('aes-256-gcm', dataKey, nonce);
    const out = allocate(SECRET_HEADER + payload.length);
    out[0] = SECRET;
    out[1] = this.#keys.current;
    cipher.setAAD(associated(out, key));
    out.set(nonce, 2);
    out.set(cipher.update(payload), SECRET_HEADER);
    cipher.final();
    out.set(cipher.getAuthTag(), 2 + NONCE_BYTES);
    return out;
  }

  #decrypt(key: Uint8Array, value: Buffer): Uint8Array {
    const dataKey = this.#keys.keys.get(value[1]!);
    if (dataKey === undefined) throw damaged(key, `is sealed with the unknown key ${value[1]}`);
    const decipher = createDecipheriv('aes-256-gcm', dataKey, value.subarray(2, 2 + NONCE_BYTES));
    decipher.setAAD(associated(value, key));
    decipher.setAuthTag(value.subarray(2 + NONCE_BYTES, SECRET_HEADER));
    const payload = decipher.update(value.subarray(SECRET_HEADER));
    try {
      decipher.final();
    } catch {
      throw damaged(key, 'does not open with its key');
    }
    return payload;
  }

  #nextNonce(): Buffer {
    if (this.#used === 0xffffffff) {
      this.#nonce.set(this.#random.bytes(8));
      this.#used = 0;
    }
    this.#nonce.writeUInt32BE(this.#used++, 8);
    return this.#nonce;
  }
}

function protect(key: Uint8Array, payload: Uint8Array, allocate: Allocate): Uint8Array {
  const out = allocate(PLAIN_HEADER + payload.length);
  out[0] = PLAIN;
  out[1] = 0;
  out.set(payload, PLAIN_HEADER);
  out.writeUInt32BE(checksum(key, out), 2);
  return out;
}

function verify(key: Uint8Array, value: Buffer): Uint8Array {
  if (value.readUInt32BE(2) !== checksum(key, value)) throw damaged(key, 'fails its checksum');
  return value.subarray(PLAIN_HEADER);
}

function checksum(key: Uint8Array, value: Buffer): number {
  return crc32(value.subarray(PLAIN_HEADER), crc32(keyAndHeader(key, value)));
}

/** Together, because each call of crc32 costs more than copying a key. */
function keyAndHeader(key: Uint8Array, value: Buffer): Buffer {
  const out = Buffer.allocUnsafe(key.length + 2);
  out.set(key);
  out[key.length] = value[0]!;
  out[key.length + 1] = value[1]!;
  return out;
}

function associated(header: Buffer, key: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(2 + key.length);
  out[0] = header[0]!;
  out[1] = header[1]!;
  out.set(key, 2);
  return out;
}

function readCrc(value: Uint8Array): number {
  return ((value[2]! << 24) | (value[3]! << 16) | (value[4]! << 8) | value[5]!) >>> 0;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Names the key (never what it holds), printable parts as text. */
function damaged(key: Uint8Array, what: string): SwarmError {
  let name = '';
  for (const byte of key) {
    name += byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`;
  }
  return new SwarmError('DAMAGED', `the stored value ${name.slice(0, 120)} ${what}`);
}
