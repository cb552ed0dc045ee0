import * as zlib from 'node:zlib';

/** CRC-32 (IEEE), continued from `seed`. Node's own where it has one (20.15 and newer do). */
export const crc32: (data: Uint8Array, seed?: number) => number = zlib.crc32 ?? crc32Portable;

const TABLE = new Uint32Array(256).map((_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/**
 * The same of a text in UTF-8. A call into Node's costs more than the few dozen letters of a key.
 */
export function crc32OfText(text: string, seed = 0): number {
  let crc = ~seed;
  for (let i = 0; i < text.length; i++) {
    const letter = text.charCodeAt(i);
    if (letter > 0x7f) return crc32(Buffer.from(text), seed);
    crc = TABLE[(crc ^ letter) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** The same in plain JavaScript, about eight times slower. */
export function crc32Portable(data: Uint8Array, seed = 0): number {
  let crc = ~seed;
  for (let i = 0; i < data.length; i++) crc = TABLE[(crc ^ data[i]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
