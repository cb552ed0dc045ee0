import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import type { Installation } from '../installation.ts';
import type { Environment } from '../parse/env.ts';

/** The file that says "this folder is a `swarm dev` cluster": only with it anything is deleted. */
export const DEV_MARKER = 'swarm-dev.json';

export interface DevMarker {
  readonly kind: 'swarm-dev';
  readonly nodes: readonly DevNode[];
}

export interface DevNode {
  readonly name: string;
  readonly role: 'manager' | 'worker';
  /** Its own loopback address: control, published ports and task ports. */
  readonly address: string;
  readonly port: number;
  readonly stateDir: string;
  readonly socket: string;
  /** Of its daemon when it was last started; 0: never. */
  readonly pid: number;
  /** Start time of that process in kernel ticks: a pid alone may be another's by now. */
  readonly startTime: string;
}

/** SWARM_DEV_DIR, in a clone `.swarm/dev`, else `~/.local/share/swarm-dev`. */
export function devDirOf(
  at: { readonly env: Environment; readonly installation: Installation },
  given?: string,
): string {
  const chosen = given ?? at.env['SWARM_DEV_DIR'];
  if (chosen) return resolve(chosen);
  if (at.installation.isClone) return join(at.installation.root, '.swarm', 'dev');
  return join(at.env['HOME'] || homedir(), '.local', 'share', 'swarm-dev');
}

/** Undefined where there is no such cluster. */
export function readDevMarker(dir: string): DevMarker | undefined {
  try {
    const marker = JSON.parse(readFileSync(join(dir, DEV_MARKER), 'utf8')) as DevMarker;
    return marker.kind === 'swarm-dev' ? marker : undefined;
  } catch {
    return undefined;
  }
}

/** The marker of a cluster that must be there. */
export function requireDevMarker(dir: string): DevMarker {
  const marker = readDevMarker(dir);
  if (marker !== undefined) return marker;
  throw new SwarmError('NOT_FOUND', `There is no \`swarm dev\` cluster in ${dir}.`, {
    advice: 'Start one, or name its folder with --dir DIR.',
    command: 'swarm dev up --managers 3 --workers 2',
  });
}

/** The old marker or the new one is there, also after a crash. A folder of something else is refused. */
export function writeDevMarker(dir: string, marker: DevMarker): void {
  if (existsSync(dir) && readDevMarker(dir) === undefined && readdirSync(dir).length > 0) {
    throw new SwarmError('STATE_DIR', `${dir} holds something else than a \`swarm dev\` cluster.`, {
      advice: 'Name an empty or new folder with --dir DIR.',
    });
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, DEV_MARKER);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(marker, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

/** Replaces what the marker says of one node. */
export function recordDevNode(dir: string, node: DevNode): void {
  const marker = requireDevMarker(dir);
  const nodes = marker.nodes.map((known) => (known.name === node.name ? node : known));
  writeDevMarker(dir, { ...marker, nodes });
}

export function requireDevNode(dir: string, name: string): DevNode {
  const { nodes } = requireDevMarker(dir);
  const node = nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node;
  throw new SwarmError('NOT_FOUND', `There is no node ${name} in ${dir}.`, {
    advice: `Its nodes are ${nodes.map((known) => known.name).join(', ')}.`,
    command: 'swarm dev ls',
  });
}
