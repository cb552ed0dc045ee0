import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import type { Installation } from '../installation.ts';

/** What `npm run up` keeps of its cluster. Only a folder with it is ever deleted. */
export interface UpMarker {
  readonly kind: 'swarm-up';
  readonly stateDir: string;
  readonly socket: string;
  /** Address of control, published and task ports. */
  readonly address: string;
  readonly controlPort: number;
  /** Published port of `hello`. */
  readonly port: number;
  /** Build that the daemon was started from; another one restarts it. */
  readonly build: string;
  readonly pid: number;
  readonly startTime: string;
}

export function upDirOf(installation: Installation): string {
  return join(installation.root, '.swarm', 'up');
}

function markerPath(dir: string): string {
  return join(dir, 'swarm-up.json');
}

/** Undefined where there is no such cluster; an unreadable marker is an error. */
export function readUpMarker(dir: string): UpMarker | undefined {
  const path = markerPath(dir);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SwarmError('STATE_DIR', `${path} cannot be read (${code}).`, {
      cause: error,
      advice: 'Another user made this cluster: run this as that user, or have it ended first.',
      command: 'sudo npm run down',
    });
  }
  try {
    const marker = JSON.parse(text) as UpMarker;
    if (marker.kind === 'swarm-up') return marker;
  } catch {
    // Not JSON: the same answer as for a marker of another kind.
  }
  throw new SwarmError('STATE_DIR', `${path} is damaged.`, {
    advice: `Look for a daemon of ${dir} that still runs, end it, and delete that folder.`,
  });
}

/** The old marker or the new one is there, also after a crash. A folder of something else is refused. */
export function writeUpMarker(dir: string, marker: UpMarker): void {
  if (existsSync(dir) && !existsSync(markerPath(dir)) && readdirSync(dir).length > 0) {
    throw new SwarmError('STATE_DIR', `${dir} holds something that \`npm run up\` did not make.`, {
      advice: 'Move it away.',
    });
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = markerPath(dir);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(marker, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

/** Names the build that lies in this clone. */
export function buildOf(installation: Installation): string {
  const stamp = join(installation.root, 'dist', 'bundle', 'stamp');
  return existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
}
