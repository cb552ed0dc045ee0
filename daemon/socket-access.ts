import { chmod, chown, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SocketAccess } from '../shared/rpc/server.ts';

/** Where a machine's own daemon listens, as root. */
export const SYSTEM_DIR = '/run/swarm';
/** Whoever is in this group may open the socket of a machine's own daemon. */
const GROUP = 'swarm';

const OWN: SocketAccess = { mode: 0o600 };

export interface SocketPlace {
  readonly socket: string;
  readonly stateDir: string;
}

/** What of the machine decides; other values in tests. */
export interface Surroundings {
  readonly isRoot: boolean;
  readonly systemDir: string;
  readonly groups: string;
}

/**
 * Who may open the socket: the group `swarm` where its directory is that group's, else the daemon's
 * own user alone. The system's directory is given to the group, as the systemd unit does.
 */
export async function socketAccess(
  { socket, stateDir }: SocketPlace,
  { isRoot, systemDir, groups }: Surroundings,
): Promise<SocketAccess> {
  const directory = dirname(socket);
  const gid = await groupId(groups);
  if (isRoot && directory === systemDir && gid !== undefined) {
    await chown(directory, 0, gid);
    await chmod(directory, 0o750);
  }
  const found = await stat(directory);
  if (gid !== undefined && found.gid === gid && (found.mode & 0o050) === 0o050)
    return { mode: 0o660, gid };
  if (directory === stateDir) await chmod(directory, 0o700);
  return OWN;
}

async function groupId(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === GROUP && gid !== undefined) return Number(gid);
  }
  return undefined;
}
