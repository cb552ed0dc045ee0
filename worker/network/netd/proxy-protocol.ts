import { isIPv4 } from 'node:net';
import { Protocol } from '../../../proto/index.ts';

/** Both ends of what a client sees. */
export interface Ends {
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

const SIGNATURE = Buffer.from([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]);
const VERSION_2_PROXY = 0x21;

/** The PROXY protocol v2 header that tells a backend its client's own address. */
export function proxyHeader(protocol: Protocol, ends: Ends): Buffer {
  const client = plain(ends.clientAddress);
  const local = plain(ends.localAddress);
  const v4 = isIPv4(client) && isIPv4(local);
  const addressBytes = v4 ? 4 : 16;
  const out = Buffer.alloc(16 + 2 * addressBytes + 4);
  SIGNATURE.copy(out, 0);
  out[12] = VERSION_2_PROXY;
  out[13] = ((v4 ? 1 : 2) << 4) | (protocol === Protocol.UDP ? 2 : 1);
  out.writeUInt16BE(2 * addressBytes + 4, 14);
  writeAddress(out, 16, client, v4);
  writeAddress(out, 16 + addressBytes, local, v4);
  out.writeUInt16BE(ends.clientPort, 16 + 2 * addressBytes);
  out.writeUInt16BE(ends.localPort, 18 + 2 * addressBytes);
  return out;
}

function plain(address: string): string {
  const zoneless = address.split('%')[0]!;
  return zoneless.startsWith('::ffff:') && zoneless.includes('.') ? zoneless.slice(7) : zoneless;
}

function writeAddress(out: Buffer, at: number, address: string, v4: boolean): void {
  if (v4) {
    address.split('.').forEach((part, i) => {
      out[at + i] = Number(part);
    });
    return;
  }
  const groups = isIPv4(address) ? mapped(address) : expand(address);
  groups.forEach((group, i) => {
    out.writeUInt16BE(group, at + 2 * i);
  });
}

function mapped(address: string): readonly number[] {
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number];
  return [0, 0, 0, 0, 0, 0xffff, (a << 8) | b, (c << 8) | d];
}

function expand(address: string): readonly number[] {
  const [head, tail] = address.split('::') as [string, string | undefined];
  const left = numbers(head);
  if (tail === undefined) return left;
  const right = numbers(tail);
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}
