import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Codec } from '../../proto/index.ts';
import type { Io } from '../io.ts';

const MAGIC = Buffer.from('SWR1');
const HEADER_BYTES = 8;

/** A record is its bytes behind a magic and their checksum: what a power cut left half is known. */
export function sealRecord(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32BE(crc32(payload), MAGIC.length);
  return Buffer.concat([header, payload]);
}

/** Undefined for what is damaged. */
export function openRecord(bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    return undefined;
  const payload = bytes.subarray(HEADER_BYTES);
  return crc32(payload) === bytes.readUInt32BE(MAGIC.length) ? payload : undefined;
}

/** One message in one file, replaced as a whole. */
export class RecordFile<T> {
  readonly #io: Io;
  readonly #codec: Codec<T>;
  readonly #directory: string;
  readonly #path: string;
  #writes = 0;

  constructor(io: Io, codec: Codec<T>, directory: string, name: string) {
    this.#io = io;
    this.#codec = codec;
    this.#directory = directory;
    this.#path = join(directory, name);
  }
  /** Undefined when there is none, or a damaged one. */
  read(): T | undefined {
    const bytes = this.#io.read(this.#path);
    const payload = bytes && openRecord(bytes);
    return payload && this.#codec.decode(payload);
  }
  /** Survives the end of this daemon at once, but not a power cut. */
  write(value: T): void {
    const temporary = this.#begin(value);
    this.#io.rename(temporary, this.#path);
  }
  /** Resolves when it survives a power cut. A later `write` meanwhile wins. */
  async writeDurably(value: T): Promise<void> {
    const temporary = this.#begin(value);
    const number = this.#writes;
    await this.#io.fsync(temporary);
    if (number === this.#writes) {
      this.#io.rename(temporary, this.#path);
    } else {
      this.#io.unlink(temporary);
      await this.#io.fsync(this.#path);
    }
    await this.#io.fsync(this.#directory);
  }
  #begin(value: T): string {
    this.#writes++;
    const temporary = `${this.#path}.tmp${this.#writes}`;
    try {
      this.#io.write(temporary, sealRecord(this.#codec.encode(value)));
    } catch (error) {
      this.#io.unlink(temporary);
      throw error;
    }
    return temporary;
  }
}
