import { SwarmError } from '../../../shared/errors.ts';
import { crc32 } from '../../database/index.ts';
import type { Entry, EntryType } from '../core/index.ts';
import { putU64, readU64 } from './keys.ts';

/**
 * A log entry on disk: version | type | u64 term | u32 chain | data. The chain checksum covers the
 * entry and, through the entry before it, the whole log: what LevelDB drops in the middle shows.
 */
const VERSION = 1;
const HEADER = 14;

export function chainOf(previous: number, entry: Entry): number {
  const header = Buffer.allocUnsafe(17);
  header[0] = entry.type;
  putU64(header, entry.term, 1);
  putU64(header, entry.index, 9);
  return crc32(entry.data, crc32(header, previous));
}

export function encodeRecord(entry: Entry, chain: number): Uint8Array {
  const out = Buffer.allocUnsafe(HEADER + entry.data.length);
  out[0] = VERSION;
  out[1] = entry.type;
  putU64(out, entry.term, 2);
  out.writeUInt32BE(chain, 10);
  out.set(entry.data, HEADER);
  return out;
}

export function decodeRecord(index: number, bytes: Uint8Array): { entry: Entry; chain: number } {
  if (bytes.length < HEADER || bytes[0] !== VERSION) {
    throw new SwarmError('DAMAGED', `log entry ${index} has no known form`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entry: Entry = {
    index,
    term: readU64(bytes, 2),
    type: bytes[1]! as EntryType,
    data: bytes.subarray(HEADER),
  };
  return { entry, chain: view.getUint32(10) };
}
