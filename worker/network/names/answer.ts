import { CODE, HEADER_BYTES, type Query, TYPE } from './message.ts';

/** An answer's data: the type, and one value a record. */
export interface Records {
  readonly type: number;
  readonly values: readonly Uint8Array[];
}

/** So long may a client keep an answer: a name is never stale for longer. */
const TTL_S = 5;
const EDNS_BYTES = 11;
/** Type, class, time to live, length; before them, where the name stands. */
const RECORD_BYTES = 12;
const CLASS_IN = 1;
/** The name of every answer is the question's own, with its letters as they were. */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;
/** What we take over UDP. */
const OWN_UDP_BYTES = 1_232;

const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;

/**
 * Answers a query from what is known here. `turn` says which value stands first; what does not fit in
 * `bytesMax` is left out, and the answer says so.
 */
export function answerWith(
  packet: Buffer,
  query: Query,
  sets: readonly Records[],
  turn: number,
  bytesMax: number,
): Buffer {
  const tail = query.hasEdns ? EDNS_BYTES : 0;
  let room = bytesMax - query.end - tail;
  let length = query.end;
  let count = 0;
  const chosen: { readonly type: number; readonly value: Uint8Array }[] = [];
  let isCut = false;
  for (const { type, values } of sets) {
    for (let n = 0; n < values.length && !isCut; n++) {
      const value = values[(n + turn) % values.length]!;
      const bytes = RECORD_BYTES + value.length;
      if (bytes > room) isCut = true;
      else {
        room -= bytes;
        length += bytes;
        count++;
        chosen.push({ type, value });
      }
    }
  }
  const out = begin(packet, query.end, length + tail, CODE.NOERROR, AA | (isCut ? TC : 0));
  out.writeUInt16BE(count, 6);
  let at = query.end;
  for (const { type, value } of chosen) at = writeRecord(out, at, type, value);
  if (query.hasEdns) writeEdns(out, at, 0);
  return out;
}

/** Answers a query that we know no such name for. */
export function answerMissing(packet: Buffer, query: Query): Buffer {
  return answerCode(packet, CODE.NXDOMAIN, query.end, query.hasEdns, AA);
}

/** Answers with a code alone. `end`: where the question ends that is given back. */
export function answerCode(
  packet: Buffer,
  code: number,
  end: number,
  hasEdns: boolean,
  flags = 0,
): Buffer {
  const isExtended = code > 15;
  const withEdns = hasEdns || isExtended;
  const out = begin(packet, end, end + (withEdns ? EDNS_BYTES : 0), code & 15, flags);
  if (withEdns) writeEdns(out, end, code >> 4);
  return out;
}

/** Header and question of the query as those of its answer. */
function begin(packet: Buffer, end: number, length: number, code: number, flags: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  packet.copy(out, 0, 0, end);
  out.fill(0, 4, HEADER_BYTES);
  const opcode = packet.readUInt16BE(2) & 0x7800;
  const asked = packet.readUInt16BE(2) & RD;
  out.writeUInt16BE(QR | opcode | asked | RA | flags | code, 2);
  if (end > HEADER_BYTES) out.writeUInt16BE(1, 4);
  return out;
}

function writeRecord(out: Buffer, from: number, type: number, value: Uint8Array): number {
  out.writeUInt16BE(QUESTION_NAME, from);
  out.writeUInt16BE(type, from + 2);
  out.writeUInt16BE(CLASS_IN, from + 4);
  out.writeUInt32BE(TTL_S, from + 6);
  out.writeUInt16BE(value.length, from + 10);
  out.set(value, from + RECORD_BYTES);
  return from + RECORD_BYTES + value.length;
}

function writeEdns(out: Buffer, at: number, extendedCode: number): void {
  out.fill(0, at, at + EDNS_BYTES);
  out.writeUInt16BE(TYPE.OPT, at + 1);
  out.writeUInt16BE(OWN_UDP_BYTES, at + 3);
  out[at + 5] = extendedCode;
  out.writeUInt16BE(1, 10);
}

/** A name as it stands in a message. Labels longer than 63 bytes cannot be said and are cut. */
export function nameBytes(name: string): Uint8Array {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1').subarray(0, 63));
  return Buffer.concat([
    ...labels.flatMap((label) => [Buffer.of(label.length), label]),
    Buffer.of(0),
  ]);
}
