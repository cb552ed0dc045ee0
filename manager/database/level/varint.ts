/** Reads LevelDB's numbers and strings one after the other. Throws RangeError at the end. */
export class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }
  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }
  /** Numbers up to 2^53. */
  varint(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 63; factor *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new RangeError('a number without an end');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number that is too long');
  }
  take(length: number): Buffer {
    const end = this.at + length;
    if (end > this.bytes.length) throw new RangeError('a string without an end');
    const found = this.bytes.subarray(this.at, end);
    this.at = end;
    return found;
  }
  string(): Buffer {
    return this.take(this.varint());
  }
}
