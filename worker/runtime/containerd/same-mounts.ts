import { join } from 'node:path';
import type { Io } from '../../io.ts';

/** As the kernel marks a socket that is listened on, in the flags of /proc/net/unix. */
const LISTENS = '00010000';

/**
 * This daemon and containerd have to see the same mounts: one prepares what the other gives to containers.
 * Returns why they do not; empty: they do, as far as this daemon can see.
 */
export function otherMounts(io: Io, socketPath: string, imagesPath: string): string {
  const same = 'swarmd and containerd have to run in one mount namespace';
  if (imagesPath !== '' && io.stat(imagesPath) === undefined) {
    return `containerd's files (${imagesPath}) are not here: ${same}, not one of them in a container`;
  }
  const pid = listenerOf(io, socketPath);
  const [own, theirs] = ['self', pid].map((each) => io.readLink(`/proc/${each}/ns/mnt`)?.target);
  if (pid === undefined || own === undefined || theirs === undefined || own === theirs) return '';
  return `containerd (pid ${pid}) sees other mounts than swarmd: ${same} (PrivateMounts=no)`;
}

/** Undefined: it can't be seen from here, as from another network or process namespace. */
function listenerOf(io: Io, socketPath: string): string | undefined {
  const real = io.realPath(socketPath) ?? socketPath;
  const lines = io.read('/proc/net/unix')?.toString('utf8').split('\n') ?? [];
  const inodes = lines.flatMap((line) => {
    const [, , , flags, , , inode = '', path = ''] = line.split(/\s+/);
    return flags === LISTENS && (path === real || path === socketPath) ? [`socket:[${inode}]`] : [];
  });
  if (inodes.length === 0) return undefined;
  const pids = io.list('/proc').filter((name) => /^\d+$/.test(name));
  // containerd first: then few others are looked through.
  const isEngine = (pid: string): boolean =>
    io.read(`/proc/${pid}/comm`)?.toString('utf8') === 'containerd\n';
  const engines = new Set(pids.filter(isEngine));
  const rest = pids.filter((pid) => !engines.has(pid));
  return [...engines, ...rest].find((pid) => holds(io, pid, inodes));
}

function holds(io: Io, pid: string, inodes: readonly string[]): boolean {
  const directory = `/proc/${pid}/fd`;
  return io.list(directory).some((fd) => {
    const target = io.readLink(join(directory, fd))?.target;
    return target !== undefined && inodes.includes(target);
  });
}
