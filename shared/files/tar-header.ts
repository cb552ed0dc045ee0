export const BLOCK = 512;

/** What stands before a file in a tar archive. */
export interface TarEntry {
  readonly name: string;
  readonly kind: TarKind;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
  /** Where a link leads. */
  readonly link: string;
}
export type TarKind = 'file' | 'directory' | 'link' | 'hard link' | 'other';

const FLAGS: { readonly [kind in TarKind]: string } = {
  file: '0',
  'hard link': '1',
  link: '2',
  directory: '5',
  other: '3',
};
const OCTAL_MAX = 0o77777777777;

/** The blocks before the content: POSIX's, with a record of their own for what does not fit. */
export function encodeHeader(entry: TarEntry): Uint8Array {
  const records: [string, string][] = [];
  if (Buffer.byteLength(entry.name) > 100) records.push(['path', entry.name]);
  if (Buffer.byteLength(entry.link) > 100) records.push(['linkpath', entry.link]);
  if (entry.size > OCTAL_MAX) records.push(['size', String(entry.size)]);
  if (entry.uid > 0o7777777) records.push(['uid', String(entry.uid)]);
  if (entry.gid > 0o7777777) records.push(['gid', String(entry.gid)]);
  const head = block(entry, FLAGS[entry.kind]);
  if (records.length === 0) return head;
  const text = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const extra = block({ ...entry, name: 'PaxHeader', link: '', size: text.length }, 'x');
  return Buffer.concat([extra, text, padding(text.length), head]);
}

/** Zeros up to the next block. */
export function padding(size: number): Uint8Array {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

function block(entry: TarEntry, flag: string): Buffer {
  const head = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    const digits = Math.max(0, Math.floor(value))
      .toString(8)
      .padStart(length - 1, '0');
    head.write(digits.slice(1 - length), at, 'latin1');
  };
  Buffer.from(entry.name).copy(head, 0, 0, 100);
  octal(entry.mode, 100, 8);
  octal(entry.uid, 108, 8);
  octal(entry.gid, 116, 8);
  octal(Math.min(entry.size, OCTAL_MAX), 124, 12);
  octal(entry.modifiedMs / 1_000, 136, 12);
  head.write('        ', 148, 'latin1');
  head.write(flag, 156, 'latin1');
  Buffer.from(entry.link).copy(head, 157, 0, 100);
  head.write('ustar\x0000', 257, 'latin1');
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

/** "LENGTH KEY=VALUE\n", where the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array {
  const body = Buffer.from(` ${key}=${value}\n`);
  let length = body.length;
  while (String(length).length + body.length !== length)
    length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

/** A header as it stands in its block. `flag` is its kind, raw. */
export interface RawHeader extends TarEntry {
  readonly flag: string;
}

/** Undefined for what is no header. */
export function decodeHeader(head: Uint8Array): RawHeader | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, BLOCK);
  const stored = Number.parseInt(text(bytes, 148, 8).trim(), 8);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 32 : bytes[at]!;
  if (sum !== stored) return undefined;
  const prefix = text(bytes, 257, 5) === 'ustar' && bytes[262] === 0 ? text(bytes, 345, 155) : '';
  const name = text(bytes, 0, 100);
  const flag = bytes[156] === 0 ? '0' : String.fromCharCode(bytes[156]!);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    kind: kindOf(flag),
    flag,
    size: number(bytes, 124, 12),
    mode: number(bytes, 100, 8),
    uid: number(bytes, 108, 8),
    gid: number(bytes, 116, 8),
    modifiedMs: number(bytes, 136, 12) * 1_000,
    link: text(bytes, 157, 100),
  };
}

function kindOf(flag: string): TarKind {
  const found = (Object.keys(FLAGS) as TarKind[]).find((kind) => FLAGS[kind] === flag);
  return flag === '7' ? 'file' : (found ?? 'other');
}

/** The records of an extended header. */
export function parsePax(bytes: Uint8Array): ReadonlyMap<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const records = new Map<string, string>();
  for (let at = 0; at < buffer.length; ) {
    const space = buffer.indexOf(0x20, at);
    const length = Number(buffer.toString('latin1', at, space));
    if (space < 0 || !(length > 0)) break;
    const record = buffer.toString('utf8', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function text(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 || end > at + length ? at + length : end);
}

/** Octal, or binary for what octal can't hold. */
function number(bytes: Buffer, at: number, length: number): number {
  if ((bytes[at]! & 0x80) !== 0) return bytes.readUIntBE(at + length - 6, 6);
  return Number.parseInt(text(bytes, at, length).trim() || '0', 8) || 0;
}
