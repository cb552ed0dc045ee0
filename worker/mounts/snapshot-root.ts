import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { MountPoint } from '../../proto/containerd.ts';
import { LIMITS } from '../../shared/limits.ts';

const LINKS_MAX = 40;

/**
 * Reads files of a container's root without mounting it: directory by directory from the layers of the
 * overlay. Links are followed inside the root, whatever they say; no path of the host is ever touched.
 */
export class SnapshotRoot {
  /** Topmost first. */
  readonly #layers: readonly string[];

  constructor(mounts: readonly MountPoint[]) {
    this.#layers = mounts.flatMap(layersOf);
  }
  /** Undefined when there is no such plain file, or it is too large. */
  readText(path: string): string | undefined {
    const found = this.#find(path);
    if (!found?.stats.isFile() || found.stats.size > LIMITS.passwdBytesMax) return undefined;
    return readFileSync(found.path, 'utf8');
  }
  /** Where a directory really is, without links: safe to use below a mount of this root. */
  directory(path: string): string | undefined {
    const found = this.#find(path);
    return found?.stats.isDirectory() ? `/${found.at.join('/')}` : undefined;
  }
  #find(path: string): Found | undefined {
    let rest = parts(path);
    let at: string[] = [];
    let found: Found | undefined;
    for (let links = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest;
      if (name === '..') {
        at = at.slice(0, -1);
        rest = after;
        continue;
      }
      found = this.#lookup([...at, name]);
      if (found === undefined) return undefined;
      if (found.stats.isSymbolicLink()) {
        if (++links > LINKS_MAX) return undefined;
        const target = readlinkSync(found.path);
        if (target.startsWith('/')) at = [];
        rest = [...parts(target), ...after];
        continue;
      }
      at = [...at, name];
      rest = after;
    }
    return found;
  }
  /** Every parent is known to be a directory, not a link: then no layer's path leads out of it. */
  #lookup(path: readonly string[]): Found | undefined {
    for (const layer of this.#layers) {
      let stats: Stats | undefined;
      for (let depth = 1; depth <= path.length; depth++) {
        const here = join(layer, ...path.slice(0, depth));
        stats = lstatSync(here, { throwIfNoEntry: false });
        // Deleted by this layer: what is below it does not count.
        if (stats?.isCharacterDevice() && stats.rdev === 0) return undefined;
        if (stats === undefined || (depth < path.length && !stats.isDirectory())) break;
        if (depth === path.length) return { path: here, stats, at: path };
      }
      if (stats !== undefined && !stats.isDirectory()) return undefined;
    }
    return undefined;
  }
}

interface Found {
  /** On the host. */
  readonly path: string;
  /** In the root. */
  readonly at: readonly string[];
  readonly stats: Stats;
}

function parts(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function layersOf(mount: MountPoint): readonly string[] {
  if (mount.type === 'bind') return [mount.source];
  if (mount.type !== 'overlay') return [];
  const layers: string[] = [];
  for (const option of mount.options) {
    if (option.startsWith('upperdir=')) layers.unshift(option.slice('upperdir='.length));
    if (option.startsWith('lowerdir=')) layers.push(...option.slice('lowerdir='.length).split(':'));
  }
  return layers;
}
