import { createHash } from 'node:crypto';
import { BackupHeader, BackupTrailer, StoredRow } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import { FileOpener, FileSealer } from './sealed-file.ts';

/** What is inside the seal: length-prefixed rows, a header first and a trailer last. */
export const BACKUP_FORMAT = 1;
const HEADER = '@header';
const TRAILER = '@trailer';
const LENGTH_BYTES = 4;

/** Header and rows in, bytes of the file out. */
export class BackupWriter {
  readonly #sealer: FileSealer;
  readonly #hash = createHash('sha256');
  #parts: Buffer[] = [];
  #bytes = 0;
  #rows = 0;

  constructor(key: Uint8Array, random: Random) {
    this.#sealer = new FileSealer(key, random);
  }
  get rows(): number {
    return this.#rows;
  }

  begin(header: BackupHeader): Buffer {
    this.#add(StoredRow.create({ table: HEADER, row: BackupHeader.encode(header) }));
    return this.#sealer.preamble;
  }

  /** Bytes for the file, when there are enough for a frame. */
  row(row: StoredRow): Buffer | undefined {
    this.#rows++;
    this.#add(row);
    return this.#bytes < LIMITS.snapshotChunkBytesMax ? undefined : this.#flush(false);
  }

  end(): Buffer {
    const sha256 = this.#hash.digest();
    const trailer = BackupTrailer.encode(BackupTrailer.create({ rows: this.#rows, sha256 }));
    this.#append(StoredRow.encode(StoredRow.create({ table: TRAILER, row: trailer })));
    return this.#flush(true);
  }

  #add(row: StoredRow): void {
    this.#hash.update(this.#append(StoredRow.encode(row)));
  }
  #append(encoded: Uint8Array): Buffer {
    const record = Buffer.allocUnsafe(LENGTH_BYTES + encoded.length);
    record.writeUInt32BE(encoded.length, 0);
    record.set(encoded, LENGTH_BYTES);
    this.#parts.push(record);
    this.#bytes += record.length;
    return record;
  }
  #flush(last: boolean): Buffer {
    const plaintext = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return this.#sealer.frame(plaintext, last);
  }
}

/** Bytes of the file in, rows out; every check of the file is made on the way. */
export class BackupReader {
  readonly #opener: FileOpener;
  readonly #hash = createHash('sha256');
  #pending: Buffer = Buffer.alloc(0);
  #header: BackupHeader | undefined;
  #rows = 0;
  #isComplete = false;

  constructor(key: Uint8Array) {
    this.#opener = new FileOpener(key);
  }
  /** Undefined until it was read; it is before the first row. */
  get header(): BackupHeader | undefined {
    return this.#header;
  }
  get rows(): number {
    return this.#rows;
  }

  push(bytes: Uint8Array): StoredRow[] {
    const out: StoredRow[] = [];
    for (const plaintext of this.#opener.push(bytes)) {
      this.#pending = Buffer.concat([this.#pending, plaintext]);
      for (let row = this.#next(); row !== undefined; row = this.#next()) out.push(row);
    }
    return out;
  }

  /** No more comes: throws when something is missing. */
  end(): void {
    this.#opener.end();
    if (!this.#isComplete || this.#pending.length > 0) throw broken('it has no trailer');
  }

  #next(): StoredRow | undefined {
    for (;;) {
      if (this.#pending.length < LENGTH_BYTES) return undefined;
      const length = this.#pending.readUInt32BE(0);
      if (this.#pending.length < LENGTH_BYTES + length) return undefined;
      const record = this.#pending.subarray(0, LENGTH_BYTES + length);
      this.#pending = this.#pending.subarray(record.length);
      const row = StoredRow.decode(record.subarray(LENGTH_BYTES));
      if (row.table === TRAILER) this.#finish(BackupTrailer.decode(row.row));
      else {
        this.#hash.update(record);
        if (this.#header === undefined) this.#begin(row);
        else {
          this.#rows++;
          return row;
        }
      }
    }
  }

  #begin(row: StoredRow): void {
    if (row.table !== HEADER) throw broken('it has no header');
    const header = BackupHeader.decode(row.row);
    if (header.format !== BACKUP_FORMAT) {
      const text = `The rows of this backup have format ${header.format}, not ${BACKUP_FORMAT}.`;
      throw new SwarmError('UNSUPPORTED', text, {
        advice: 'Restore it with the release that made it.',
      });
    }
    this.#header = header;
  }

  #finish(trailer: BackupTrailer): void {
    const same = this.#hash.digest().equals(trailer.sha256);
    if (!same || trailer.rows !== this.#rows) throw broken('its rows do not add up');
    this.#isComplete = true;
  }
}

function broken(what: string): SwarmError {
  return new SwarmError('DAMAGED', `The backup is damaged: ${what}.`, {
    advice: 'Copy it again, or take another backup.',
  });
}
