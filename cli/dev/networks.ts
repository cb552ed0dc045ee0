import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Environment } from '../parse/env.ts';
import { readDevMarker } from './marker.ts';

/** A claim this young holds although its cluster is not written down yet. */
const FRESH_MS = 60_000;

export interface ClaimsAt {
  readonly env: Environment;
  readonly clock: Pick<Clock, 'wallMs'>;
}

/** A cluster's loopback addresses are 127.0.N.1 to .254; another one on this machine has another N. */
export function devAddress(network: number, node: number): string {
  return `127.0.${network}.${node + 1}`;
}

/**
 * Takes 127.0.N.0/24 for the cluster in `dir`, also while that is stopped; false when another cluster
 * of this user has it. Where nothing can be written down, nobody's claim is known: that is no error.
 */
export function claimNetwork(at: ClaimsAt, network: number, dir: string): boolean {
  const folder = folderOf(at.env);
  const path = join(folder, `${network}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const owner = ownerOf(at, path, network);
    if (owner === dir) return true;
    if (owner !== undefined) return false;
    rmSync(path, { force: true });
    // Of two that come at once one is second.
    writeFileSync(path, `${dir}\n`, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EEXIST';
  }
}

/** Gives back what the cluster in `dir` had. */
export function releaseNetworks(at: ClaimsAt, dir: string): void {
  const folder = folderOf(at.env);
  for (const name of entriesOf(folder)) {
    const path = join(folder, name);
    if (read(path) === dir) rmSync(path, { force: true });
  }
}

/** Whose claim holds. One whose cluster is gone, or has other addresses, does not. */
function ownerOf({ clock }: ClaimsAt, path: string, network: number): string | undefined {
  const dir = read(path);
  if (dir === undefined) return undefined;
  const marker = readDevMarker(dir);
  if (marker !== undefined) {
    const prefix = devAddress(network, 0).replace(/1$/, '');
    return marker.nodes.some(({ address }) => address.startsWith(prefix)) ? dir : undefined;
  }
  return clock.wallMs() - statSync(path).mtimeMs < FRESH_MS ? dir : undefined;
}

function folderOf(env: Environment): string {
  const state = env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state');
  return join(state, 'swarm', 'dev-networks');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
