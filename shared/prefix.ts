/** IP addresses and prefixes as numbers. IPv4 fits a JavaScript number; bigint serves both families. */
export interface Prefix {
  readonly family: 4 | 6;
  /** The first address; the bits behind `length` are zero. */
  readonly base: bigint;
  readonly length: number;
}

/** 10.0.1.7 as an unsigned number; undefined: it is no IPv4 address. */
export function parseIpv4(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (parts === null) return undefined;
  let value = 0;
  for (let at = 1; at <= 4; at++) {
    const part = Number(parts[at]);
    // A leading zero is octal to some programs and decimal to others.
    if (part > 255 || (parts[at]!.length > 1 && parts[at]!.startsWith('0'))) return undefined;
    value = value * 256 + part;
  }
  return value;
}

export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** undefined: it is no IPv6 address. A dotted IPv4 tail is understood, a zone is not. */
export function parseIpv6(text: string): bigint | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const tail = parseIpv4(dotted[2]!);
    if (tail === undefined) return undefined;
    return parseIpv6(`${dotted[1]}${(tail >>> 16).toString(16)}:${(tail & 0xffff).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const count = head!.length + (tail?.length ?? 0);
  if (tail === undefined ? count !== 8 : count > 7) return undefined;
  const groups = [...head!, ...Array<string>(8 - count).fill('0'), ...(tail ?? [])];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** In the one form of RFC 5952. */
export function formatIpv6(value: bigint): string {
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n)
    groups.push(((value >> shift) & 0xffffn).toString(16));
  let [start, length] = [0, 1];
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === '0') to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  if (length === 1) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

/** ADDRESS/LENGTH, or an address alone as the longest prefix. Bits behind the length are dropped. */
export function parsePrefix(text: string): Prefix | undefined {
  const parts = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text);
  if (parts === null) return undefined;
  const v4 = parseIpv4(parts[1]!);
  const value = v4 === undefined ? parseIpv6(parts[1]!) : BigInt(v4);
  const family = v4 === undefined ? 6 : 4;
  if (value === undefined) return undefined;
  const length = parts[2] === undefined ? bitsOf(family) : Number(parts[2]);
  if (length > bitsOf(family)) return undefined;
  const hostBits = BigInt(bitsOf(family) - length);
  return { family, base: (value >> hostBits) << hostBits, length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.family, prefix.base)}/${prefix.length}`;
}
export function formatAddress(family: 4 | 6, value: bigint): string {
  return family === 4 ? formatIpv4(Number(value)) : formatIpv6(value);
}

function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** The first address behind it. */
export function endOf(prefix: Prefix): bigint {
  return prefix.base + (1n << BigInt(bitsOf(prefix.family) - prefix.length));
}
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.base < endOf(b) && b.base < endOf(a);
}
/** All of `inner` lies in `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.family === inner.family && inner.base >= outer.base && endOf(inner) <= endOf(outer);
}
