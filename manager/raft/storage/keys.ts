import type { KeyRange } from '../../database/index.ts';

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
  const name = `${table}/${id}`;
  const key = Buffer.allocUnsafe(STATE_PREFIX_BYTES + Buffer.byteLength(name));
  putStatePrefix(key, generation);
  key.write(name, STATE_PREFIX_BYTES);
  return key;
}
/** All rows of generations in [generation, end). */
export function stateRange(generation: number, end: number = generation + 1): KeyRange {
  return { gte: statePrefix(generation), lt: statePrefix(end) };
}
/** What the keys of all rows of a generation begin with. */
export function rowPrefix(generation: number): Uint8Array {
  return statePrefix(generation);
}
/** `table/id`, the part of a row's key that means the same on every member. */
export function rowName(key: Uint8Array): Uint8Array {
  return key.subarray(STATE_PREFIX_BYTES);
}
/**
 * Which row a key names, when it is one of `generation`; `other`: one of another generation;
 * undefined: no row's.
 */
export function rowNameText(
  key: Uint8Array,
  generation: number,
): { readonly table: string; readonly id: string } | 'other' | undefined {
  if (key[0] !== STATE || key[1] !== SLASH || key.length < STATE_PREFIX_BYTES) return undefined;
  if (readU32(key, 2) !== generation) return 'other';
  const name = Buffer.from(rowName(key)).toString();
  const at = name.indexOf('/');
  return { table: name.slice(0, at), id: name.slice(at + 1) };
}
export function rowKeyFromName(generation: number, name: Uint8Array): Uint8Array {
  return Buffer.concat([statePrefix(generation), name]);
}
export function putU64(out: Uint8Array, value: number, offset: number): void {
  putU32(out, Math.floor(value / 2 ** 32), offset);
  putU32(out, value, offset + 4);
}
export function readU64(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset) * 2 ** 32 + readU32(bytes, offset + 4);
}

// By hand: a DataView for each number costs more than all the rest of a key.
function putU32(out: Uint8Array, value: number, offset: number): void {
  out[offset] = value >>> 24;
  out[offset + 1] = value >>> 16;
  out[offset + 2] = value >>> 8;
  out[offset + 3] = value;
}
function readU32(bytes: Uint8Array, offset: number): number {
  const high = (bytes[offset]! << 8) | bytes[offset + 1]!;
  const low = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  return high * 2 ** 16 + low;
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
  putStatePrefix(prefix, generation);
  return prefix;
}

function putStatePrefix(out: Uint8Array, generation: number): void {
  out[0] = STATE;
  out[1] = SLASH;
  putU32(out, generation, 2);
  out[6] = SLASH;
}

function text(key: string): Uint8Array {
  return Buffer.from(key);
}
