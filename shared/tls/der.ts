import { SwarmError } from '../errors.ts';

/**
 * The little of ASN.1 DER that certificates and requests of this cluster need. Written out because
 * the libraries for it take half a second of start time, more than an election timeout.
 */

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  return Buffer.from([0x82, length >> 8, length & 0xff]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => tagged(TAG.sequence, ...parts);
export const set = (...parts: readonly Uint8Array[]): Buffer => tagged(TAG.set, ...parts);
export const octets = (bytes: Uint8Array): Buffer => tagged(TAG.octetString, bytes);
export const utf8 = (text: string): Buffer => tagged(TAG.utf8, Buffer.from(text, 'utf8'));
export const boolean = (value: boolean): Buffer => Buffer.from([0x01, 0x01, value ? 0xff : 0x00]);

/** A positive integer of any size, big-endian. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const body = bytes.subarray(start);
  const padded = (body[0] ?? 0) >= 0x80 ? [Buffer.from([0]), body] : [body];
  return tagged(TAG.integer, ...padded);
}

export function bits(bytes: Uint8Array, unused = 0): Buffer {
  return tagged(TAG.bitString, Buffer.from([unused]), bytes);
}

/** `1.2.840.10045.2.1` as bytes. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const number of rest) {
    const groups = [number & 0x7f];
    for (let left = number >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(TAG.oid, Buffer.from(bytes));
}

/** Wall time as certificates write it: two-digit years until 2049. */
export function time(wallMs: number): Buffer {
  const digits = new Date(wallMs).toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  const year = Number(digits.slice(0, 4));
  if (year >= 2050) return tagged(TAG.generalizedTime, Buffer.from(digits, 'ascii'));
  return tagged(TAG.utcTime, Buffer.from(digits.slice(2), 'ascii'));
}

/** One element: its tag, what is inside, and all of it. */
export interface Element {
  readonly tag: number;
  readonly body: Buffer;
  readonly whole: Buffer;
}

/** Every element of `bytes`, which must consist of whole elements. Throws INVALID_ARGUMENT. */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes, at);
    found.push(element);
    at += element.whole.length;
  }
  return found;
}

function readElement(bytes: Buffer, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw malformed();
  let length = first;
  let header = 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count < 1 || count > 3 || at + 2 + count > bytes.length) throw malformed();
    length = bytes.readUIntBE(at + 2, count);
    header = 2 + count;
  }
  const end = at + header + length;
  if (end > bytes.length) throw malformed();
  return { tag, body: bytes.subarray(at + header, end), whole: bytes.subarray(at, end) };
}

/** The elements inside the one sequence that `bytes` is. */
export function insideSequence(bytes: Buffer): Element[] {
  const [only, ...more] = elements(bytes);
  if (only === undefined || only.tag !== TAG.sequence || more.length > 0) throw malformed();
  return elements(only.body);
}

/** The bytes of a bit string that is a whole number of bytes. */
export function bitStringBytes(element: Element | undefined): Buffer {
  if (element?.tag !== TAG.bitString || element.body[0] !== 0) throw malformed();
  return element.body.subarray(1);
}

export function malformed(): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', 'The certificate request is not well-formed.');
}

export function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** Every block named `label` in a PEM text, as DER. */
export function unpem(text: string, label: string): Buffer[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`, 'g');
  return [...text.matchAll(pattern)].map((match) => Buffer.from(match[1] ?? '', 'base64'));
}
