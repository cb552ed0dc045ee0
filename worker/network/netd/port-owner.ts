import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIPv6, SocketAddress } from 'node:net';
import { Protocol } from '../../../proto/index.ts';

/** Where the process table is read; another directory in tests. */
const PROC = '/proc';

/**
 * Who stands in the way of listening on `address` and `port` of this machine, as `NAME (pid N)`;
 * undefined where that may not be seen (another user's process, another mount of /proc) or nobody
 * does any more.
 */
export async function portOwner(
  protocol: Protocol,
  address: string,
  port: number,
  proc: string = PROC,
): Promise<string | undefined> {
  const inodes = await inodesInTheWay(protocol, address, port, proc);
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir(proc).catch(() => [])) {
    if (!/^\d+$/.test(pid) || !(await holds(`${proc}/${pid}/fd`, inodes))) continue;
    const name = await readFile(`${proc}/${pid}/comm`, 'utf8').catch(() => '');
    return `${name.trim() || 'a process'} (pid ${pid})`;
  }
  return undefined;
}

async function holds(fdDirectory: string, inodes: ReadonlySet<string>): Promise<boolean> {
  for (const fd of await readdir(fdDirectory).catch(() => [])) {
    const target = await readlink(`${fdDirectory}/${fd}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}

const LISTEN = '0A';
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

async function inodesInTheWay(
  protocol: Protocol,
  address: string,
  port: number,
  proc: string,
): Promise<ReadonlySet<string>> {
  const kind = protocol === Protocol.UDP ? 'udp' : 'tcp';
  const texts = await Promise.all(
    [kind, `${kind}6`].map((name) => readFile(`${proc}/net/${name}`, 'latin1').catch(() => '')),
  );
  const wanted = canonical(address);
  const inodes = new Set<string>();
  for (const line of texts.join('\n').split('\n')) {
    // sl local remote state queues timer retransmits uid timeout inode
    const fields = line.trim().split(/\s+/);
    const [local, state, inode] = [fields[1], fields[3], fields[9]];
    if (local === undefined || inode === undefined || inode === '0') continue;
    if (kind === 'tcp' && state !== LISTEN) continue;
    const [hex, portHex] = local.split(':');
    if (hex === undefined || Number.parseInt(portHex ?? '', 16) !== port) continue;
    if (overlap(wanted, addressOf(hex))) inodes.add(inode);
  }
  return inodes;
}

/** The same port of two different addresses can be held by two. */
function overlap(one: string, other: string): boolean {
  return one === other || WILDCARDS.has(one) || WILDCARDS.has(other);
}

/** /proc/net prints an address as 32-bit words in the machine's order, which is little-endian. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length % 4 !== 0) return '';
  bytes.swap32();
  if (bytes.length === 4) return bytes.join('.');
  return canonical((bytes.toString('hex').match(/.{4}/g) ?? []).join(':'));
}

/** One text per address; an IPv4 address in IPv6 clothes is the IPv4 address. */
function canonical(address: string): string {
  if (!isIPv6(address)) return address;
  const text = new SocketAddress({ address, family: 'ipv6' }).address;
  return text.replace(/^::ffff:(?=\d+\.)/, '');
}
