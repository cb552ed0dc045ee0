import { chmod, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const GROUP_MODE = 0o660;
const OWN_MODE = 0o600;

/** A directory of group `swarm` opens the socket to it; any other keeps it to the daemon's user. */
export async function socketMode(socket: string, stateDir: string): Promise<number> {
  const directory = dirname(socket);
  const { mode } = await stat(directory);
  if ((mode & 0o050) === 0o050) return GROUP_MODE;
  if (directory === stateDir) await chmod(directory, 0o700);
  return OWN_MODE;
}
