import { readFileSync } from 'node:fs';
import { formatIpv4, formatIpv6, parsePrefix } from '../shared/prefix.ts';

/** Devices whose routes are this machine's own doing: of nodes, and the loopback. `*`: no way. */
const OWN = /^(lo|\*|sw[ugx])/;

/** Prefixes that this host routes by itself, without the default: pools keep clear of them. */
export function hostRoutes(
  read: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): string[] {
  const lines = (path: string): string[] => {
    try {
      return read(path).split('\n');
    } catch {
      // A kernel without that family.
      return [];
    }
  };
  const four = lines('/proc/net/route').flatMap(routeOf4);
  const six = lines('/proc/net/ipv6_route').flatMap(routeOf6);
  return [...new Set([...four, ...six])].sort();
}

/** `eth0 0063A8C0 00000000 0001 0 0 0 00FFFFFF …`, addresses as a little-endian machine has them. */
function routeOf4(line: string): string[] {
  const [device = '', destination = '', , , , , , mask = ''] = line.split('\t');
  if (!/^[0-9A-F]{8}$/.test(destination) || OWN.test(device)) return [];
  const length = [...Number.parseInt(mask, 16).toString(2)].filter((bit) => bit === '1').length;
  return length === 0 ? [] : [`${formatIpv4(swap(destination))}/${length}`];
}

function swap(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE(0);
}

/** `fd00…00 40 00…00 00 … eth0`. */
function routeOf6(line: string): string[] {
  const words = line.trim().split(/\s+/);
  const [destination = '', bits = '', , , , metric = ''] = words;
  const device = words.at(-1) ?? '';
  if (!/^[0-9a-f]{32}$/.test(destination) || OWN.test(device) || metric === 'ffffffff') return [];
  const length = Number.parseInt(bits, 16);
  const prefix = parsePrefix(`${formatIpv6(BigInt(`0x${destination}`))}/${length}`);
  // Addresses of the host itself, and what every link has.
  const isCommon = length === 0 || length === 128 || /^f[ef]/.test(destination);
  return prefix === undefined || isCommon ? [] : [`${formatIpv6(prefix.base)}/${length}`];
}
