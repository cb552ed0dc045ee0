import { Cursor } from './varint.ts';

const LITERAL = 0;
const COPY_1 = 1;
const COPY_2 = 2;

/** Decompresses Snappy's raw format. Throws RangeError when the bytes are not in it. */
export function uncompress(bytes: Buffer): Buffer {
  const cursor = new Cursor(bytes);
  const out = Buffer.allocUnsafe(cursor.varint());
  let end = 0;
  while (!cursor.isAtEnd) {
    const tag = cursor.take(1)[0]!;
    const kind = tag & 3;
    if (kind === LITERAL) {
      const literal = cursor.take(literalLength(cursor, tag >>> 2));
      if (end + literal.length > out.length) throw new RangeError('more than was announced');
      literal.copy(out, end);
      end += literal.length;
      continue;
    }
    const length = kind === COPY_1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const offset = copyOffset(cursor, kind, tag);
    if (offset === 0 || offset > end || end + length > out.length) {
      throw new RangeError('a copy from outside');
    }
    // Byte by byte: a copy may reach into what it writes.
    for (let i = 0; i < length; i++, end++) out[end] = out[end - offset]!;
  }
  if (end !== out.length) throw new RangeError('less than was announced');
  return out;
}

function literalLength(cursor: Cursor, code: number): number {
  if (code < 60) return code + 1;
  const count = code - 59;
  return cursor.take(count).readUIntLE(0, count) + 1;
}

function copyOffset(cursor: Cursor, kind: number, tag: number): number {
  if (kind === COPY_1) return ((tag >>> 5) << 8) | cursor.take(1)[0]!;
  return kind === COPY_2 ? cursor.take(2).readUInt16LE(0) : cursor.take(4).readUInt32LE(0);
}
