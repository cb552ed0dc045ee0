const POLYNOMIAL = 0x82f63b78;
const MASK_DELTA = 0xa282ead8;

/** TABLES[k][b]: what byte b does to the checksum when k more bytes follow. */
const TABLES = makeTables();
const [T0, T1, T2, T3] = TABLES as [Int32Array, Int32Array, Int32Array, Int32Array];
const [, , , , T4, T5, T6, T7] = TABLES as Int32Array[];

/**
 * CRC-32C (Castagnoli) of [from, to), which Node does not have; 8 bytes a step, because at the start
 * of a manager all of its database goes through here.
 */
export function crc32c(data: Uint8Array, from = 0, to: number = data.length): number {
  let crc = -1;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    crc ^= data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24);
    crc =
      T7![crc & 0xff]! ^
      T6![(crc >>> 8) & 0xff]! ^
      T5![(crc >>> 16) & 0xff]! ^
      T4![crc >>> 24]! ^
      T3[data[at + 4]!]! ^
      T2[data[at + 5]!]! ^
      T1[data[at + 6]!]! ^
      T0[data[at + 7]!]!;
  }
  for (; at < to; at++) crc = T0[(crc ^ data[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** As LevelDB stores a checksum, so that checksums of checksums stay meaningful. */
export function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

function makeTables(): Int32Array[] {
  const first = new Int32Array(256).map((_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
    return rest;
  });
  const tables = [first];
  for (let k = 1; k < 8; k++) {
    tables.push(tables[k - 1]!.map((value) => first[value & 0xff]! ^ (value >>> 8)));
  }
  return tables;
}
