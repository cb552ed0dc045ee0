import type { KeyRange } from '../database/index.ts';

/**
 * The key space of a manager's database. Numbers are big-endian, so keys sort as they count.
 *
 *     m/id m/hs m/snap m/applied m/peers      who we are, hard state, log boundary, applied, peers
 *     l/<u64 index>                           log entries
 *     a/<u64 index>                           one marker for each write of applied state
 *     s/<u32 generation>/<table>/<id>         rows
 */
export const META = {
  identity: text('m/id'),
  hardState: text('m/hs'),
  boundary: text('m/snap'),
  applied: text('m/applied'),
  peers: text('m/peers'),
} as const;

const LOG = 0x6c;
const MARKER = 0x61;
const STATE = 0x73;
const SLASH = 0x2f;
const STATE_PREFIX_BYTES = 7;

export function logKey(index: number): Uint8Array {
  return numbered(LOG, index);
}
/** Log entries in [from, to). */
export function logRange(from: number, to: number = Number.MAX_SAFE_INTEGER): KeyRange {
  return { gte: numbered(LOG, from), lt: numbered(LOG, to) };
}
export function markerKey(index: number): Uint8Array {
  return numbered(MARKER, index);
}
export function markerRange(from: number, to: number = Number.MAX_SAFE_INTEGER): KeyRange {
  return { gte: numbered(MARKER, from), lt: numbered(MARKER, to) };
}
/** The number in a key of `logKey` or `markerKey`. */
export function keyNumber(key: Uint8Array): number {
  return readU64(key, 2);
}

export function rowKey(generation: number, table: string, id: string): Uint8Array {
  return Buffer.concat([statePrefix(generation), Buffer.from(`${table}/${id}`)]);
}
/** All rows of generations in [generation, end). */
export function stateRange(generation: number, end: number = generation + 1): KeyRange {
  return { gte: statePrefix(generation), lt: statePrefix(end) };
}
/** `table/id`, the part of a row's key that means the same on every member. */
export function rowName(key: Uint8Array): Uint8Array {
  return key.subarray(STATE_PREFIX_BYTES);
}
export function rowKeyFromName(generation: number, name: Uint8Array): Uint8Array {
  return Buffer.concat([statePrefix(generation), name]);
}
/** Splits a row's name; an id may itself have slashes. */
export function splitRowName(name: Uint8Array): { table: string; id: string } {
  const whole = Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString();
  const at = whole.indexOf('/');
  return { table: whole.slice(0, at), id: whole.slice(at + 1) };
}

export function putU64(out: Uint8Array, value: number, offset: number): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value >>> 0);
}
export function readU64(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(offset) * 2 ** 32 + view.getUint32(offset + 4);
}

function numbered(kind: number, index: number): Uint8Array {
  const key = Buffer.allocUnsafe(10);
  key[0] = kind;
  key[1] = SLASH;
  putU64(key, index, 2);
  return key;
}

function statePrefix(generation: number): Uint8Array {
  const prefix = Buffer.allocUnsafe(STATE_PREFIX_BYTES);
  prefix[0] = STATE;
  prefix[1] = SLASH;
  prefix.writeUInt32BE(generation, 2);
  prefix[6] = SLASH;
  return prefix;
}

function text(key: string): Uint8Array {
  return Buffer.from(key);
}
