import { crc32c, masked } from './crc32c.ts';

/**
 * LevelDB's logs (its write-ahead log and MANIFEST) are read by LevelDB until something does not
 * add up; what it then leaves out it mentions in a text file, or not at all. Here every byte is
 * looked at before LevelDB sees the file.
 *
 * Format: blocks of 32 KiB; record = masked crc32c of type and payload (4), length (2), type (1),
 * payload; all little-endian; types 1 whole, 2 first, 3 middle, 4 last. No record begins in the
 * last 6 bytes of a block.
 */
const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const WHOLE = 1;
const FIRST = 2;
const LAST = 4;

/**
 * `torn`: it ends in the middle of its last write, as a crash leaves it. `damaged`: no crash can
 * have made it so; one write is outstanding at a time, so behind a torn one no other can begin.
 */
export type LogEnd = 'whole' | 'torn' | 'damaged';

/** Reads a whole log; `onRecord` gets each record that is sound, until the end. */
export function scanLog(log: Buffer, onRecord: (record: Buffer) => void = ignore): LogEnd {
  let pieces: Buffer[] = [];
  let at = 0;
  while (at < log.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      const trailer = log.subarray(at, at + left);
      if (trailer.some((byte) => byte !== 0)) return 'damaged';
      at += left;
      continue;
    }
    if (log.length - at < HEADER_BYTES) return 'torn';
    const length = log.readUInt16LE(at + 4);
    const type = log[at + 6]!;
    const end = at + HEADER_BYTES + length;
    if (type < WHOLE || type > LAST || HEADER_BYTES + length > left) return 'damaged';
    if (end > log.length) return hidesRecords(log, at) ? 'damaged' : 'torn';
    if (!matches(log, at, length)) return 'damaged';
    const begins = type === WHOLE || type === FIRST;
    if (begins !== (pieces.length === 0)) return 'damaged';
    pieces.push(log.subarray(at + HEADER_BYTES, end));
    if (type === WHOLE || type === LAST) {
      onRecord(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
      pieces = [];
    }
    at = end;
  }
  return pieces.length === 0 ? 'whole' : 'torn';
}

function ignore(): void {}

/** Whether the record at `at`, which claims to reach beyond the end, is no interrupted write. */
function hidesRecords(log: Buffer, at: number): boolean {
  // It is whole, only its length is not what it was.
  if (matches(log, at, log.length - at - HEADER_BYTES)) return true;
  for (let next = at + 1; next + HEADER_BYTES <= log.length; next++) {
    const type = log[next + 6];
    if (type !== WHOLE && type !== FIRST) continue;
    const length = log.readUInt16LE(next + 4);
    if (next + HEADER_BYTES + length <= log.length && matches(log, next, length)) return true;
  }
  return false;
}

function matches(log: Buffer, at: number, length: number): boolean {
  if (length <= 0) return false;
  const crc = crc32c(log, at + 6, at + HEADER_BYTES + length);
  return masked(crc) === log.readUInt32LE(at);
}
