/** What is read of a DNS message: its one question, and how large an answer may be (RFC 1035, 6891). */

export const TYPE = { A: 1, PTR: 12, AAAA: 28, OPT: 41, IXFR: 251, AXFR: 252, ANY: 255 } as const;
export const CODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export const HEADER_BYTES = 12;
/** What every client takes over UDP. */
const UDP_BYTES = 512;
/** Larger answers go over TCP: this is what passes every link in one piece. */
const UDP_BYTES_MAX = 1_232;
const CLASS_IN = 1;

export interface Query {
  /** Lower case, without the last dot; what is neither letter, digit, `-` nor `_` as `\DDD`. */
  readonly name: string;
  readonly type: number;
  /** Where the question ends. */
  readonly end: number;
  /** Bytes that the client takes over UDP. */
  readonly udpBytes: number;
  readonly hasEdns: boolean;
}

/** `code`: what to answer instead, with the question where it could be read; undefined: nothing. */
export type Reading =
  | { readonly ok: true; readonly query: Query }
  | { readonly ok: false; readonly code: number | undefined; readonly end: number };

const isAnswer = (packet: Buffer): boolean => (packet[2]! & 0x80) !== 0;
const opcode = (packet: Buffer): number => (packet[2]! >> 3) & 15;

/** Never throws, whatever the packet. */
export function readQuery(packet: Buffer): Reading {
  // An answer is never answered: two servers would talk for ever.
  if (packet.length < HEADER_BYTES || isAnswer(packet)) return refuse(undefined);
  if (opcode(packet) !== 0) return refuse(CODE.NOTIMP);
  if (packet.readUInt16BE(4) !== 1) return refuse(CODE.FORMERR);
  const named = readName(packet, HEADER_BYTES);
  if (named === undefined || named.end + 4 > packet.length) return refuse(CODE.FORMERR);
  const end = named.end + 4;
  const type = packet.readUInt16BE(named.end);
  if (packet.readUInt16BE(named.end + 2) !== CLASS_IN) return refuse(CODE.REFUSED, end);
  if (type === TYPE.AXFR || type === TYPE.IXFR || type === TYPE.OPT)
    return refuse(CODE.REFUSED, end);
  const edns = readEdns(packet, end);
  if (edns === 'malformed') return refuse(CODE.FORMERR, end);
  if (edns !== undefined && edns.version !== 0) return refuse(CODE.BADVERS, end);
  const udpBytes = Math.min(Math.max(edns?.udpBytes ?? UDP_BYTES, UDP_BYTES), UDP_BYTES_MAX);
  const query = { name: named.name, type, end, udpBytes, hasEdns: edns !== undefined };
  return { ok: true, query };
}

/** Where the first question of a message ends; undefined: it has none that can be read. */
export function endOfQuestion(packet: Buffer): number | undefined {
  if (packet.length < HEADER_BYTES || packet.readUInt16BE(4) !== 1) return undefined;
  const named = readName(packet, HEADER_BYTES);
  return named === undefined || named.end + 4 > packet.length ? undefined : named.end + 4;
}

function refuse(code: number | undefined, end = HEADER_BYTES): Reading {
  return { ok: false, code, end };
}

/** A name in a question: nothing stands before it that it could point to. */
function readName(
  packet: Buffer,
  from: number,
): { readonly name: string; readonly end: number } | undefined {
  let name = '';
  let at = from;
  for (;;) {
    const length = packet[at];
    if (length === undefined || length > 63 || at + length - from > 254) return undefined;
    at++;
    if (length === 0) return { name, end: at };
    if (at + length > packet.length) return undefined;
    if (name !== '') name += '.';
    for (const end = at + length; at < end; at++) name += CHARACTERS[packet[at]!]!;
  }
}

/** How each byte of a label is written. */
const CHARACTERS = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte).toLowerCase();
  return byte < 128 && /[a-z0-9_-]/.test(character)
    ? character
    : `\\${byte.toString().padStart(3, '0')}`;
});

/** The OPT record among what follows the question. */
function readEdns(
  packet: Buffer,
  from: number,
): { readonly udpBytes: number; readonly version: number } | 'malformed' | undefined {
  let found: { udpBytes: number; version: number } | undefined;
  let at = from;
  const records = packet.readUInt16BE(6) + packet.readUInt16BE(8) + packet.readUInt16BE(10);
  for (let n = 0; n < records; n++) {
    const isRoot = packet[at] === 0;
    const end = skipName(packet, at);
    if (end === undefined || end + 10 > packet.length) return 'malformed';
    if (packet.readUInt16BE(end) === TYPE.OPT) {
      if (!isRoot || found !== undefined) return 'malformed';
      found = { udpBytes: packet.readUInt16BE(end + 2), version: packet[end + 5]! };
    }
    at = end + 10 + packet.readUInt16BE(end + 8);
    if (at > packet.length) return 'malformed';
  }
  return found;
}

function skipName(packet: Buffer, from: number): number | undefined {
  let at = from;
  for (;;) {
    const length = packet[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += 1 + length;
  }
}
