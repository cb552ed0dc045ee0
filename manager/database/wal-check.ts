/**
 * LevelDB's logs (its write-ahead log and MANIFEST) are read by LevelDB until something does not
 * add up. In most cases it says so; but a record that claims to reach beyond the end of the file it
 * takes for a torn one and drops with all that follows, in silence. One flipped bit of a length
 * does that. Here the two are told apart, before LevelDB sees the file.
 *
 * Format: blocks of 32 KiB; record = masked crc32c of type and payload (4), length (2), type (1),
 * payload; all little-endian; types 1 whole, 2 first, 3 middle, 4 last.
 */
const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const WHOLE = 1;
const FIRST = 2;

/**
 * True when the end of the log is not that of a write which a crash interrupted: one write is
 * outstanding at a time, so behind a torn one no other can begin.
 */
export function hidesRecords(log: Buffer): boolean {
  const torn = tornAt(log);
  if (torn === undefined) return false;
  if (log.length - torn < HEADER_BYTES) return false;
  // The last record is whole, only its length is not what it was.
  if (matches(log, torn, log.length - torn - HEADER_BYTES)) return true;
  for (let at = torn + 1; at + HEADER_BYTES <= log.length; at++) {
    const type = log[at + 6];
    if (type !== WHOLE && type !== FIRST) continue;
    const length = log.readUInt16LE(at + 4);
    if (length > 0 && at + HEADER_BYTES + length <= log.length && matches(log, at, length))
      return true;
  }
  return false;
}

/** Where in the last block LevelDB would stop without a word; undefined: at the very end. */
function tornAt(log: Buffer): number | undefined {
  let at = log.length - (log.length % BLOCK_BYTES);
  while (at + HEADER_BYTES <= log.length) {
    const length = log.readUInt16LE(at + 4);
    const isZeroed = length === 0 && log[at + 6] === 0;
    if (isZeroed || at + HEADER_BYTES + length > log.length) return at;
    at += HEADER_BYTES + length;
  }
  return undefined;
}

function matches(log: Buffer, at: number, length: number): boolean {
  if (length <= 0) return false;
  const crc = crc32c(log.subarray(at + 6, at + HEADER_BYTES + length));
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  return masked === log.readUInt32LE(at);
}

const TABLE = new Uint32Array(256).map((_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
  return rest;
});

/** CRC-32C (Castagnoli), which Node does not have. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < data.length; i++) crc = TABLE[(crc ^ data[i]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
