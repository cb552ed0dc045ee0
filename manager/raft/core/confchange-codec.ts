/**
 * Configuration changes as bytes of an entry, in the encoding that etcd's raftpb has (protobuf):
 * V1 {2: type, 3: node, 4: context}, V2 {1: transition, 2: {1: type, 2: node}, 3: context}.
 */
import type { ConfChange, ConfChangeSingle, ConfChangeV1, Entry } from './types.ts';
import { ConfChangeTransition, ConfChangeType, EntryType, NO_BYTES, NONE } from './types.ts';

const VARINT = 0;
const BYTES = 2;

/** The entry type and bytes for a change in either form. */
export function encodeConfChange(change: ConfChange | ConfChangeV1): {
  type: EntryType;
  data: Uint8Array;
} {
  const out: number[] = [];
  if ('type' in change) {
    putVarint(out, 2, change.type);
    putVarint(out, 3, change.nodeId);
    putBytes(out, 4, change.context);
    return { type: EntryType.ConfChange, data: Uint8Array.from(out) };
  }
  putVarint(out, 1, change.transition);
  for (const single of change.changes) {
    const inner: number[] = [];
    putVarint(inner, 1, single.type);
    putVarint(inner, 2, single.nodeId);
    out.push((2 << 3) | BYTES);
    pushVarint(out, inner.length);
    for (const byte of inner) out.push(byte);
  }
  putBytes(out, 3, change.context);
  return { type: EntryType.ConfChangeV2, data: Uint8Array.from(out) };
}

/** The change in an entry, whichever form it has there; null when the bytes are none. */
export function decodeConfChange(e: Pick<Entry, 'type' | 'data'>): ConfChange | null {
  if (e.type === EntryType.Normal) return null;
  const fields = readFields(e.data);
  if (fields === null) return null;
  const change = e.type === EntryType.ConfChange ? decodeV1(fields) : decodeV2(fields);
  return change !== null && isWellFormed(change) ? change : null;
}

/** The newer form of either. */
export function asConfChange(change: ConfChange | ConfChangeV1): ConfChange {
  if (!('type' in change)) return change;
  const { type, nodeId, context } = change;
  return { transition: ConfChangeTransition.Auto, changes: [{ type, nodeId }], context };
}

function isWellFormed(change: ConfChange): boolean {
  if (change.transition > ConfChangeTransition.JointExplicit) return false;
  return change.changes.every((c) => c.type <= ConfChangeType.AddLearner && c.nodeId >= NONE);
}

interface Field {
  readonly tag: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

function decodeV1(fields: readonly Field[]): ConfChange | null {
  let type = 0;
  let nodeId = NONE;
  let context = NO_BYTES;
  for (const f of fields) {
    if (f.tag === 2) type = f.value;
    else if (f.tag === 3) nodeId = f.value;
    else if (f.tag === 4) context = f.bytes;
  }
  return asConfChange({ type: type as ConfChangeType, nodeId, context });
}

function decodeV2(fields: readonly Field[]): ConfChange | null {
  let transition = 0;
  let context = NO_BYTES;
  const changes: ConfChangeSingle[] = [];
  for (const f of fields) {
    if (f.tag === 1) transition = f.value;
    else if (f.tag === 3) context = f.bytes;
    else if (f.tag === 2) {
      const inner = readFields(f.bytes);
      if (inner === null) return null;
      const type = inner.find((i) => i.tag === 1)?.value ?? 0;
      const nodeId = inner.find((i) => i.tag === 2)?.value ?? NONE;
      changes.push({ type: type as ConfChangeType, nodeId });
    }
  }
  return { transition: transition as ConfChangeTransition, changes, context };
}

function putVarint(out: number[], tag: number, value: number): void {
  if (value === 0) return;
  out.push((tag << 3) | VARINT);
  pushVarint(out, value);
}

function putBytes(out: number[], tag: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  out.push((tag << 3) | BYTES);
  pushVarint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

function pushVarint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
}

function readFields(bytes: Uint8Array): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (!Number.isSafeInteger(value)) return -1;
      if (byte < 128) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    if (key < 0 || value < 0) return null;
    const isBytes = (key & 7) === BYTES;
    if (!isBytes && (key & 7) !== VARINT) return null;
    if (isBytes && at + value > bytes.length) return null;
    fields.push({
      tag: key >>> 3,
      value: isBytes ? 0 : value,
      bytes: isBytes ? bytes.subarray(at, at + value) : NO_BYTES,
    });
    if (isBytes) at += value;
  }
  return fields;
}
