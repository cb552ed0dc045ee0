import { crc32c, masked } from './crc32c.ts';
import { uncompress } from './snappy.ts';
import { Cursor } from './varint.ts';

/**
 * A table: blocks one behind the other (rows, then filter, list of filters, index), each followed by
 * its compression (1 byte) and a masked crc32c; at the end a footer that says where list and index
 * are. LevelDB has these checksums and does not look at them: one flipped bit makes a row vanish.
 */
const TRAILER_BYTES = 5;
const FOOTER_BYTES = 48;
const MAGIC = 'db4775248b80fb57';
const PLAIN = 0;
const SNAPPY = 1;

interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** Whether every byte of a table file is what LevelDB wrote. */
export function isSoundTable(file: Buffer): boolean {
  try {
    return checkTable(file);
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function checkTable(file: Buffer): boolean {
  const footerAt = file.length - FOOTER_BYTES;
  if (footerAt < 0) return false;
  const footer = new Cursor(file.subarray(footerAt));
  const filters = readHandle(footer);
  const index = readHandle(footer);
  const magic = Buffer.from(file.subarray(-8)).reverse().toString('hex');
  if (magic !== MAGIC || index.offset + index.size + TRAILER_BYTES !== footerAt) return false;
  if (filters.offset + filters.size + TRAILER_BYTES !== index.offset) return false;
  if (!isSoundBlock(file, index) || !isSoundBlock(file, filters)) return false;
  let at = 0;
  for (const block of readIndex(file, index)) {
    if (block.offset !== at || !isSoundBlock(file, block)) return false;
    at += block.size + TRAILER_BYTES;
  }
  // What is left before the list of filters is the filter itself.
  const size = filters.offset - at - TRAILER_BYTES;
  return filters.offset === at || isSoundBlock(file, { offset: at, size });
}

function isSoundBlock(file: Buffer, { offset, size }: Handle): boolean {
  const end = offset + size;
  if (size < 0 || end + TRAILER_BYTES > file.length) return false;
  return file.readUInt32LE(end + 1) === masked(crc32c(file, offset, end + 1));
}

function readHandle(cursor: Cursor): Handle {
  const offset = cursor.varint();
  return { offset, size: cursor.varint() };
}

/** The blocks of rows: values of the index, whose keys do not matter here. */
function* readIndex(file: Buffer, { offset, size }: Handle): Generator<Handle, void> {
  const raw = file.subarray(offset, offset + size);
  const compression = file[offset + size];
  if (compression !== PLAIN && compression !== SNAPPY) throw new RangeError('unknown compression');
  const block = compression === SNAPPY ? uncompress(raw) : raw;
  const restarts = block.readUInt32LE(block.length - 4);
  const entries = block.subarray(0, block.length - 4 * (restarts + 1));
  const cursor = new Cursor(entries);
  while (!cursor.isAtEnd) {
    cursor.varint();
    const keyBytes = cursor.varint();
    const valueBytes = cursor.varint();
    cursor.take(keyBytes);
    yield readHandle(new Cursor(cursor.take(valueBytes)));
  }
}
