/** Sizes in bytes, as in etcd's protobuf encoding, so that limits mean the same. */
import type { Entry } from './types.ts';

function varintLength(n: number): number {
  let length = 1;
  for (let rest = n; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Size of an entry with its header, in bytes. */
export function entrySize(e: Entry): number {
  const data = e.data.length;
  const header = 4 + varintLength(e.term) + varintLength(e.index);
  return data === 0 ? header : header + 1 + varintLength(data) + data;
}

/** Size of what users proposed, without headers: what the uncommitted limit counts. */
export function payloadsSize(entries: readonly Pick<Entry, 'data'>[]): number {
  let size = 0;
  for (const e of entries) size += e.data.length;
  return size;
}

export function entriesSize(entries: readonly Entry[]): number {
  let size = 0;
  for (const e of entries) size += entrySize(e);
  return size;
}

/** The longest prefix that fits into `sizeBytesMax`, but at least one entry. */
export function limitSize(entries: readonly Entry[], sizeBytesMax: number): readonly Entry[] {
  if (entries.length === 0) return entries;
  let size = entrySize(entries[0]!);
  for (let i = 1; i < entries.length; i++) {
    size += entrySize(entries[i]!);
    if (size > sizeBytesMax) return entries.slice(0, i);
  }
  return entries;
}
