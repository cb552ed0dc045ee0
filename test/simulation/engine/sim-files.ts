import { dirname } from 'node:path';
import type { Random } from '../../../shared/random.ts';
import type { FileStat, Io, RunResult } from '../../../worker/io.ts';
import type { Owner, Timeline } from './timeline.ts';

interface File {
  bytes: Buffer;
  /** What a power cut leaves in it. */
  durable: Buffer;
}
const NOTHING = Buffer.alloc(0);

/** The files of an agent, in memory; they outlive its daemon, and a power cut as far as synced. */
export class SimFiles {
  readonly #files = new Map<string, File>();
  /** By the names that a power cut leaves: those that were there when their directory was synced. */
  readonly #durable = new Map<string, File>();
  readonly #directories = new Set<string>();
  readonly #timeline: Timeline;
  readonly #random: Random;

  constructor(timeline: Timeline, random: Random) {
    this.#timeline = timeline;
    this.#random = random;
  }

  /** The machine lost power: of what was not synced anything may be there or not. */
  powerCut(): void {
    for (const path of new Set([...this.#files.keys(), ...this.#durable.keys()])) {
      if (this.#random.below(2) === 0) continue;
      const left = this.#durable.get(path);
      if (left) this.#files.set(path, { bytes: left.durable, durable: left.durable });
      else this.#files.delete(path);
    }
    this.#durable.clear();
    for (const [path, file] of this.#files) {
      file.durable = file.bytes;
      this.#durable.set(path, file);
    }
  }

  /** As one daemon sees them; a dead one changes nothing. */
  as(owner: Owner): Io {
    const files = this.#files;
    const refuse = (): never => {
      throw new Error('not simulated');
    };
    const write = (path: string, bytes: Uint8Array | string): void => {
      if (owner.isDead) return;
      const file = files.get(path) ?? { bytes: NOTHING, durable: NOTHING };
      file.bytes = Buffer.from(bytes as string);
      files.set(path, file);
    };
    return {
      mkdir: (path) => void this.#directories.add(path),
      write,
      append: (path, bytes) =>
        write(path, Buffer.concat([files.get(path)?.bytes ?? NOTHING, bytes])),
      create: (path, bytes) => {
        if (files.has(path)) return false;
        write(path, bytes);
        return true;
      },
      symlink: refuse,
      node: refuse,
      realPath: refuse,
      fsync: (path) =>
        new Promise((resolve) => {
          const sync = (): void => {
            const file = files.get(path);
            if (file) file.durable = file.bytes;
            else this.#syncNames(path);
            resolve();
          };
          this.#timeline.after(0.1 + this.#random.below(20) / 10, sync, owner);
        }),
      rename: (from, to) => {
        const file = files.get(from);
        if (owner.isDead || !file) return;
        files.delete(from);
        files.set(to, file);
      },
      chmod: () => undefined,
      truncate: (path, length) => write(path, files.get(path)?.bytes.subarray(0, length) ?? ''),
      unlink: (path) => {
        if (!owner.isDead) files.delete(path);
      },
      removeTree: (path) => {
        if (!owner.isDead) this.#removeTree(path);
      },
      rmdir: (path) => void this.#directories.delete(path),
      spawn: refuse,
      open: refuse,
      kill: () => false,
      alive: () => false,
      run: async (): Promise<RunResult> => ({ code: -1, output: '', timedOut: false }),
      read: (path) => files.get(path)?.bytes,
      readAt: (path, offset, length) =>
        files.get(path)?.bytes.subarray(offset, offset + length) ?? NOTHING,
      readLink: () => undefined,
      list: (path) => this.#list(path),
      stat: (path) => this.#stat(path),
      executable: () => false,
      tap: () => ({ read: () => Buffer.alloc(0) }),
      watch: () => ({ close: () => undefined }),
    };
  }

  #syncNames(directory: string): void {
    for (const path of new Set([...this.#files.keys(), ...this.#durable.keys()])) {
      if (dirname(path) !== directory) continue;
      const file = this.#files.get(path);
      if (file) this.#durable.set(path, file);
      else this.#durable.delete(path);
    }
  }
  #removeTree(path: string): void {
    for (const name of [...this.#files.keys()]) {
      if (name === path || name.startsWith(`${path}/`)) this.#files.delete(name);
    }
    for (const name of [...this.#directories]) {
      if (name === path || name.startsWith(`${path}/`)) this.#directories.delete(name);
    }
  }
  #list(path: string): string[] {
    const names = new Set<string>();
    for (const name of [...this.#files.keys(), ...this.#directories]) {
      if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split('/')[0]!);
    }
    return [...names].sort();
  }
  #stat(path: string): FileStat | undefined {
    const file = this.#files.get(path);
    if (!file && !this.#directories.has(path)) return undefined;
    const size = file?.bytes.length ?? 0;
    return { size, mtimeMs: 0, directory: !file, uid: 0, mode: 0o600 };
  }
}
