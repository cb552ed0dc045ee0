import { createHash } from 'node:crypto';
import type { SnapshotChunk, SnapshotHeader, SnapshotTrailer } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { crc32, type DbOp, type DbRow } from '../../database/index.ts';
import { rowKeyFromName, rowName } from '../storage/keys.ts';

/**
 * Rows on the wire: the name of the row, and one byte (1: secret) before its value. They travel
 * opened, under TLS: each member seals with a key of its own.
 */
const PLAIN = 0;
const SECRET = 1;

/** Checksum over everything sent, in order; lengths are part of it. */
class Digest {
  readonly #hash = createHash('sha256');
  rows = 0;

  add(name: Uint8Array, value: Uint8Array): void {
    this.#hash.update(`${name.length},${value.length};`).update(name).update(value);
    this.rows++;
  }
  trailer(): SnapshotTrailer {
    return { rows: this.rows, sha256: this.#hash.digest() };
  }
}

/**
 * Cuts rows into chunks: a header first, a trailer last, at most 256 KiB in between. The same rows
 * are always cut alike: chunks up to `header.resumeAfter`, which the receiver has, are left out.
 */
export async function* toChunks(
  header: SnapshotHeader,
  rows: AsyncIterable<DbRow>,
): AsyncGenerator<SnapshotChunk, void> {
  const digest = new Digest();
  let sequence = 0;
  yield chunk({ header, sequence: sequence++ });
  let keys: Uint8Array[] = [];
  let values: Uint8Array[] = [];
  let bytes = 0;
  for await (const row of rows) {
    const name = rowName(row.key);
    const value = Buffer.allocUnsafe(1 + row.value.length);
    value[0] = row.secret ? SECRET : PLAIN;
    value.set(row.value, 1);
    digest.add(name, value);
    keys.push(name);
    values.push(value);
    bytes += name.length + value.length;
    if (bytes < LIMITS.snapshotChunkBytesMax) continue;
    if (sequence > header.resumeAfter) yield chunk({ sequence, keys, values });
    sequence++;
    keys = [];
    values = [];
    bytes = 0;
  }
  if (keys.length > 0) {
    if (sequence > header.resumeAfter) yield chunk({ sequence, keys, values });
    sequence++;
  }
  yield chunk({ sequence, trailer: digest.trailer() });
}

/** The opposite: operations for each chunk, in order. Throws UNREACHABLE at the first wrong byte. */
export class ChunkReader {
  readonly #generation: number;
  readonly #digest = new Digest();
  #expected = 1;
  #complete = false;

  constructor(generation: number) {
    this.#generation = generation;
  }
  get isComplete(): boolean {
    return this.#complete;
  }
  /** Sequence number of the last chunk that was read; 0 before the first. */
  get last(): number {
    return this.#expected - 1;
  }
  read(message: SnapshotChunk): DbOp[] {
    const isNext = message.sequence === this.#expected && !this.#complete;
    if (!isNext || message.keys.length !== message.values.length) throw broken('is out of order');
    if (message.crc !== checksum(message.keys, message.values)) throw broken('fails its checksum');
    this.#expected++;
    const ops = message.keys.map((name, at) => this.#op(name, message.values[at]!));
    if (message.trailer) this.#finish(message.trailer);
    return ops;
  }
  #op(name: Uint8Array, value: Uint8Array): DbOp {
    if (value.length === 0) throw broken('has an empty value');
    this.#digest.add(name, value);
    const key = rowKeyFromName(this.#generation, name);
    return { key, value: value.subarray(1), secret: value[0] === SECRET };
  }
  #finish(trailer: SnapshotTrailer): void {
    const own = this.#digest.trailer();
    const same = Buffer.compare(own.sha256, trailer.sha256) === 0;
    if (!same || own.rows !== trailer.rows) throw broken('does not add up');
    this.#complete = true;
  }
}

interface ChunkFields {
  readonly header?: SnapshotHeader;
  readonly sequence: number;
  readonly keys?: readonly Uint8Array[];
  readonly values?: readonly Uint8Array[];
  readonly trailer?: SnapshotTrailer;
}

function chunk(fields: ChunkFields): SnapshotChunk {
  const { header = null, sequence, keys = [], values = [], trailer = null } = fields;
  return { header, sequence, keys, values, crc: checksum(keys, values), trailer };
}

function checksum(keys: readonly Uint8Array[], values: readonly Uint8Array[]): number {
  let crc = 0;
  for (const key of keys) crc = crc32(key, crc);
  for (const value of values) crc = crc32(value, crc);
  return crc;
}

function broken(what: string): SwarmError {
  return new SwarmError('UNREACHABLE', `a snapshot from another manager ${what}`);
}
