/** Each writer keeps two rows with the same value, changed together. */
export const WRITERS = 8;
const HEADER_BYTES = 8;

/** A value that says whose it is, and of which every byte can be checked. */
export function pairValue(writer: number, number: number, padding: number): Buffer {
  const value = Buffer.alloc(HEADER_BYTES + padding, fillOf(writer, number));
  value.writeUInt32BE(writer, 0);
  value.writeUInt32BE(number, 4);
  return value;
}

/** The number in both rows of a writer, 0 when there are none; undefined: they are not as written. */
export function readPair(
  values: ReadonlyMap<string, Uint8Array>,
  writer: number,
): number | undefined {
  const a = values.get(`a${writer}`);
  const b = values.get(`b${writer}`);
  if (a === undefined && b === undefined) return 0;
  if (a === undefined || b === undefined || Buffer.compare(a, b) !== 0) return undefined;
  const value = Buffer.from(a);
  const number = value.readUInt32BE(4);
  const isWhole = value.equals(pairValue(writer, number, value.length - HEADER_BYTES));
  return isWhole ? number : undefined;
}

function fillOf(writer: number, number: number): number {
  return (writer * 31 + number) & 0xff;
}
