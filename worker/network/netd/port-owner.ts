import { readdir, readFile, readlink } from 'node:fs/promises';
import { Protocol } from '../../../proto/index.ts';

/** Where the process table is read; another directory in tests. */
export const PROC = '/proc';

/**
 * Who holds a port of this machine, as `NAME (pid N)`; undefined where that may not be seen (another
 * user's process, another mount of /proc) or nobody holds it any more.
 */
export async function portOwner(
  protocol: Protocol,
  port: number,
  proc: string = PROC,
): Promise<string | undefined> {
  const inodes = await inodesOf(protocol, port, proc);
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

async function inodesOf(
  protocol: Protocol,
  port: number,
  proc: string,
): Promise<ReadonlySet<string>> {
  const kind = protocol === Protocol.UDP ? 'udp' : 'tcp';
  const texts = await Promise.all(
    [kind, `${kind}6`].map((name) => readFile(`${proc}/net/${name}`, 'latin1').catch(() => '')),
  );
  const inodes = new Set<string>();
  for (const line of texts.join('\n').split('\n')) {
    // sl local remote state queues timer retransmits uid timeout inode
    const fields = line.trim().split(/\s+/);
    const [local, state, inode] = [fields[1], fields[3], fields[9]];
    if (local === undefined || inode === undefined || inode === '0') continue;
    if (kind === 'tcp' && state !== LISTEN) continue;
    if (Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) === port) inodes.add(inode);
  }
  return inodes;
}
