import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Environment } from './parse/env.ts';

/**
 * `dir/name`, or, where the kernel would not take so long a path, the same name in a folder of our own
 * (0700, owner checked) under XDG_RUNTIME_DIR or the temporary directory.
 */
export function shortSocketPath(dir: string, name: string, env: Environment, uid: number): string {
  const direct = join(dir, name);
  if (Buffer.byteLength(direct) <= LIMITS.socketPathBytesMax) return direct;
  const base = env['XDG_RUNTIME_DIR'] || tmpdir();
  const folder = join(base, `swarm-${uid}-${digest(dir)}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new SwarmError('STATE_DIR', `${folder} is not a private folder of yours.`, {
      advice: 'It would hold the socket: remove it, or choose a shorter path for the cluster.',
    });
  }
  return join(folder, name);
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
