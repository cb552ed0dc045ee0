import { createCipheriv, createDecipheriv } from 'node:crypto';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import { backupKeyId } from './backup-key.ts';

/**
 * A backup on disk: a preamble, then frames.
 *
 *     "swarm-backup\n" | u8 format | 8 bytes id of the key | 7 bytes of every nonce
 *     u32 (top bit: the last frame; rest: length) | AES-256-GCM ciphertext | 16 bytes tag
 *
 * A frame's nonce is the file's 7 bytes, its number (u32) and whether it is the last (u8), so no
 * frame can be moved, left out or cut off unseen; the preamble is authenticated with each.
 */
const MAGIC = Buffer.from('swarm-backup\n');
const FORMAT = 1;
const ID_AT = MAGIC.length + 1;
const NONCE_AT = ID_AT + 8;
const NONCE_BYTES = 7;
const PREAMBLE_BYTES = NONCE_AT + NONCE_BYTES;
const TAG_BYTES = 16;
const LAST = 0x80000000;

/** Makes the bytes of a sealed file, piece by piece. */
export class FileSealer {
  readonly preamble: Buffer;
  readonly #key: Uint8Array;
  #frames = 0;

  constructor(key: Uint8Array, random: Random) {
    this.#key = key;
    this.preamble = Buffer.concat([
      MAGIC,
      Buffer.of(FORMAT),
      backupKeyId(key),
      random.bytes(NONCE_BYTES),
    ]);
  }

  /** At most LIMITS.backupFrameBytesMax of plaintext; `last` ends the file. */
  frame(plaintext: Uint8Array, last: boolean): Buffer {
    const cipher = createCipheriv(
      'aes-256-gcm',
      this.#key,
      nonce(this.preamble, this.#frames, last),
    );
    cipher.setAAD(this.preamble);
    const body = cipher.update(plaintext);
    cipher.final();
    this.#frames++;
    const header = Buffer.alloc(4);
    header.writeUInt32BE(((last ? LAST : 0) | (body.length + TAG_BYTES)) >>> 0);
    return Buffer.concat([header, body, cipher.getAuthTag()]);
  }
}

/**
 * The opposite: takes the file in pieces of any size, gives plaintext back. Throws INVALID_ARGUMENT
 * (not a backup), UNSUPPORTED (a newer format), UNAUTHENTICATED (another key), DAMAGED.
 */
export class FileOpener {
  readonly #key: Uint8Array;
  #pending: Buffer = Buffer.alloc(0);
  #preamble: Buffer | undefined;
  #frames = 0;
  #position = 0;
  #isComplete = false;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  push(bytes: Uint8Array): Buffer[] {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    this.#preamble ??= this.#takePreamble();
    const out: Buffer[] = [];
    if (this.#preamble === undefined) return out;
    for (let body = this.#takeFrame(); body !== undefined; body = this.#takeFrame()) out.push(body);
    return out;
  }

  /** No more comes: throws when the file is not whole. */
  end(): void {
    if (this.#isComplete) return;
    if (this.#preamble === undefined) throw notABackup();
    throw cutOff(this.#position + this.#pending.length);
  }

  #takePreamble(): Buffer | undefined {
    const known = Math.min(MAGIC.length, this.#pending.length);
    if (this.#pending.compare(MAGIC, 0, known, 0, known) !== 0) throw notABackup();
    if (this.#pending.length < PREAMBLE_BYTES) return undefined;
    const preamble = this.#take(PREAMBLE_BYTES);
    const format = preamble[MAGIC.length];
    if (format !== FORMAT) {
      const text = `This backup has format ${format}; this release reads format ${FORMAT}.`;
      throw new SwarmError('UNSUPPORTED', text, {
        advice: 'Restore it with the release that made it.',
      });
    }
    if (!preamble.subarray(ID_AT, NONCE_AT).equals(backupKeyId(this.#key))) throw wrongKey();
    return preamble;
  }

  #takeFrame(): Buffer | undefined {
    if (this.#pending.length === 0) return undefined;
    if (this.#isComplete) throw damaged(this.#position, 'something follows its end');
    if (this.#pending.length < 4) return undefined;
    const header = this.#pending.readUInt32BE(0);
    const last = header >= LAST;
    const length = header % LAST;
    if (length < TAG_BYTES || length > LIMITS.backupFrameBytesMax + TAG_BYTES) {
      throw damaged(this.#position, 'a piece has an impossible length');
    }
    if (this.#pending.length < 4 + length) return undefined;
    const at = this.#position;
    const frame = this.#take(4 + length).subarray(4);
    this.#isComplete = last;
    return this.#open(frame, last, at);
  }

  #open(frame: Buffer, last: boolean, at: number): Buffer {
    const preamble = this.#preamble!;
    const decipher = createDecipheriv(
      'aes-256-gcm',
      this.#key,
      nonce(preamble, this.#frames, last),
    );
    decipher.setAAD(preamble);
    decipher.setAuthTag(frame.subarray(frame.length - TAG_BYTES));
    const body = decipher.update(frame.subarray(0, frame.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      throw damaged(at, 'a piece does not open with the key');
    }
    this.#frames++;
    return body;
  }

  #take(count: number): Buffer {
    const taken = this.#pending.subarray(0, count);
    this.#pending = this.#pending.subarray(count);
    this.#position += count;
    return taken;
  }
}

function nonce(preamble: Buffer, frame: number, last: boolean): Buffer {
  const out = Buffer.alloc(12);
  preamble.copy(out, 0, NONCE_AT, PREAMBLE_BYTES);
  out.writeUInt32BE(frame, NONCE_BYTES);
  out[11] = last ? 1 : 0;
  return out;
}

function notABackup(): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', 'That file is not a backup of a swarm cluster.', {
    advice: 'Give the file that swarm cluster backup wrote.',
  });
}

function wrongKey(): SwarmError {
  return new SwarmError('UNAUTHENTICATED', 'The key is not the one of this backup.', {
    advice: 'Each backup has a key of its own, shown or written when it was made.',
  });
}

function cutOff(bytes: number): SwarmError {
  return new SwarmError('DAMAGED', `The backup is cut off: it ends after ${bytes} bytes.`, {
    advice: 'Copy it again, or take another backup.',
  });
}

export function damaged(at: number, what: string): SwarmError {
  return new SwarmError('DAMAGED', `The backup is damaged at byte ${at}: ${what}.`, {
    advice: 'Copy it again, or take another backup.',
  });
}
