import { dirname } from 'node:path';
import type { Disk, Engine, OpenEngine } from '../../../manager/database/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import type { Counters } from './counters.ts';
import { SimDatabase } from './sim-database.ts';
import type { Owner, Timeline } from './timeline.ts';

/** How a machine's disk behaves at the moment. */
export interface DiskMood {
  /** Writes end not before this moment of the timeline. */
  hungUntilMs: number;
  /** Milliseconds that a synced write takes at most. */
  slowMs: number;
  /** With little, a manager asks for no more to be written; with none, writes fail. */
  room: 'enough' | 'little' | 'none';
  /** The next write fails, once. */
  failsNext: boolean;
  /** The process on it dies in the middle of a write or change of names, behind so many others. */
  diesAfter: number | undefined;
}
/** Nothing is wrong with it, nor asked of it. */
const SOUND: DiskMood = {
  hungUntilMs: 0,
  slowMs: 3,
  room: 'enough',
  failsNext: false,
  diesAfter: undefined,
};

const TOTAL_BYTES = 128 * 2 ** 30;
const FREE_BYTES = { enough: TOTAL_BYTES / 2, little: LIMITS.freeBytesMin / 2, none: 1 << 20 };

/**
 * The disk of one machine; it outlives the processes on it. A crash keeps what was synced and any
 * beginning of what was not; a file that was being overwritten may be torn.
 */
export class SimDisk {
  readonly mood: DiskMood = { ...SOUND };
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #files = new Map<string, Uint8Array>();
  readonly #directories = new Set<string>();
  readonly #databases = new Map<string, SimDatabase>();
  /** Writes that a crash interrupts. */
  readonly #overwriting = new Map<string, Uint8Array>();
  /** The last change of a name, until the directory is synced: a crash may take it back. */
  #renamed: { readonly from: string; readonly to: string } | undefined;
  /** Ends the process that uses it. */
  readonly #die: () => void;

  constructor(timeline: Timeline, random: Random, counters: Counters, die: () => void) {
    this.#timeline = timeline;
    this.#random = random;
    this.#counters = counters;
    this.#die = die;
  }

  /** No more trouble; what hangs goes on to hang. */
  calm(): void {
    Object.assign(this.mood, { ...SOUND, hungUntilMs: this.mood.hungUntilMs });
  }

  /**
   * The disk as a process sees it: nothing it asked for goes on after its death. `overwritten` hears
   * of every file as it becomes durable, before who asked for it does.
   */
  as(owner: Owner, overwritten: (path: string, bytes: Uint8Array) => void): Disk {
    return {
      readFile: async (path) => this.#files.get(path),
      overwrite: (path, bytes) => {
        this.#overwriting.set(path, bytes);
        return this.#later(owner, () => {
          this.#overwriting.delete(path);
          this.#files.set(path, Uint8Array.from(bytes));
          overwritten(path, bytes);
        });
      },
      makeDirectory: (path) =>
        this.#change('making a directory', () => this.#directories.add(path)),
      syncDirectory: (path) => this.#change('syncing a directory', () => this.#syncNames(path)),
      rename: (from, to) => this.#change('a rename', () => this.#rename(from, to)),
      remove: (path) => this.#change('a removal', () => this.remove(path)),
      exists: async (path) => this.#exists(path),
      list: async (path) =>
        [...this.#files.keys()]
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1)),
      space: async () => ({ freeBytes: FREE_BYTES[this.mood.room], totalBytes: TOTAL_BYTES }),
    };
  }

  openEngine(owner: Owner): OpenEngine {
    return async (path) => {
      const database = this.#databases.get(path) ?? new SimDatabase();
      this.#databases.set(path, database);
      database.reload();
      return this.#engine(owner, database);
    };
  }

  /** A power cut, or SIGKILL: both leave no more than is promised. */
  crash(): void {
    this.mood.diesAfter = undefined;
    for (const [path, bytes] of this.#overwriting) this.#tear(path, bytes);
    this.#overwriting.clear();
    for (const database of this.#databases.values()) {
      if (database.crash((count) => this.#random.below(count + 1)))
        this.#counters.count('crash lost unsynced writes');
    }
    if (this.#renamed && this.#random.below(2) === 0) this.#takeBack(this.#renamed);
    this.#renamed = undefined;
  }

  /** What is in those of these files that there are. */
  read(paths: readonly string[]): Uint8Array[] {
    return paths.flatMap((path) => this.#files.get(path) ?? []);
  }

  /** Everything is gone: another disk. */
  wipe(): void {
    this.#files.clear();
    this.#directories.clear();
    this.#databases.clear();
    this.#overwriting.clear();
    this.#renamed = undefined;
  }

  remove(path: string): void {
    const isBelow = (name: string): boolean => name === path || name.startsWith(`${path}/`);
    for (const name of [...this.#files.keys()]) if (isBelow(name)) this.#files.delete(name);
    for (const name of [...this.#databases.keys()]) if (isBelow(name)) this.#databases.delete(name);
    for (const name of [...this.#directories]) if (isBelow(name)) this.#directories.delete(name);
  }

  /** One bit of one stored value; on a machine that is down. False when there is nothing. */
  flipBit(path: string): boolean {
    const database = this.#databases.get(path);
    if (!database || database.durable.size === 0) return false;
    this.#flipOneOf([...database.durable], database);
    database.forget();
    return true;
  }
  /** The same under a process that goes on: of a value that is on the disk, and not overwritten. */
  rotBit(path: string): boolean {
    const database = this.#databases.get(path);
    if (!database) return false;
    const { stored } = database;
    if (stored.length === 0) return false;
    this.#flipOneOf(stored, database);
    return true;
  }
  #flipOneOf(
    pairs: readonly (readonly [name: string, value: Uint8Array])[],
    database: SimDatabase,
  ): void {
    const [name, value] = pairs[this.#random.below(pairs.length)]!;
    database.damage(name, this.#flipped(value));
  }

  /** One bit of a file beside the database. */
  flipFile(path: string): boolean {
    const bytes = this.#files.get(path);
    if (!bytes || bytes.length === 0) return false;
    this.#files.set(path, this.#flipped(bytes));
    return true;
  }
  #flipped(bytes: Uint8Array): Uint8Array {
    const flipped = Uint8Array.from(bytes);
    flipped[this.#random.below(flipped.length)]! ^= 1 << this.#random.below(8);
    return flipped;
  }

  /** LevelDB skipped a damaged stretch of its log: some log entries are gone, and a line says so. */
  dropBytes(path: string): boolean {
    const database = this.#databases.get(path);
    const names = [...(database?.durable.keys() ?? [])].filter((name) => name.startsWith('l/'));
    if (!database || names.length === 0) return false;
    const from = this.#random.below(names.length);
    const lost = names.sort().slice(from, from + 1 + this.#random.below(8));
    for (const name of lost) database.durable.delete(name);
    database.forget();
    this.#files.set(`${path}/LOG`, Buffer.from('(ignoring error) dropping 4711 bytes; Corruption'));
    return true;
  }

  // -- writes

  /** True: here the process dies, and what it is about is never done. */
  #diesAt(step: string): boolean {
    const { mood } = this;
    if (mood.diesAfter === undefined || mood.diesAfter-- > 0) return false;
    mood.diesAfter = undefined;
    this.#counters.count(`died at ${step}`);
    this.#timeline.after(0, this.#die);
    return true;
  }

  /** Of names: takes no time. */
  #change(what: string, done: () => void): Promise<void> {
    if (this.#diesAt(what)) return never();
    done();
    return Promise.resolve();
  }

  #later(owner: Owner, done: () => void, failed = (): void => undefined): Promise<void> {
    const { mood } = this;
    if (this.#diesAt('a write')) return never();
    const hangsMs = Math.max(0, mood.hungUntilMs - this.#timeline.nowMs);
    if (hangsMs > 0) this.#counters.count('write hung');
    const delayMs = hangsMs + 0.1 + (this.#random.below(1_000) / 1_000) * mood.slowMs;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        if (mood.failsNext || (mood.room === 'none' && this.#random.below(4) === 0)) {
          this.#counters.count(mood.failsNext ? 'fsync failed' : 'disk full at a write');
          mood.failsNext = false;
          failed();
          reject(Object.assign(new Error('input/output error'), { code: 'EIO' }));
          return;
        }
        done();
        resolve();
      };
      this.#timeline.after(delayMs, end, owner);
    });
  }

  #engine(owner: Owner, database: SimDatabase): Engine {
    return {
      write: (ops, sync) => {
        if (ops.length === 0) return Promise.resolve();
        const write = database.begin(ops);
        return this.#later(owner, () => write.end(sync), write.fail);
      },
      get: async (key) => database.get(key),
      getSync: (key, snapshot) => database.get(key, snapshot),
      iterate: (range, snapshot) => database.iterate(range, snapshot),
      snapshot: () => database.snapshot(),
      close: async () => undefined,
    };
  }

  #tear(path: string, bytes: Uint8Array): void {
    const old = this.#files.get(path);
    const written = this.#random.below(bytes.length + 1);
    if (written === 0) return;
    const length = Math.max(old?.length ?? 0, written);
    const torn = new Uint8Array(length);
    if (old) torn.set(old);
    torn.set(bytes.subarray(0, written));
    this.#files.set(path, torn);
    if (written < bytes.length) this.#counters.count('file torn');
  }

  #exists(path: string): boolean {
    const isAt = (name: string): boolean => name === path || name.startsWith(`${path}/`);
    if (this.#directories.has(path)) return true;
    for (const name of this.#files.keys()) if (isAt(name)) return true;
    return false;
  }

  #syncNames(directory: string): void {
    if (this.#renamed && dirname(this.#renamed.to) === directory) this.#renamed = undefined;
  }
  #takeBack({ from, to }: { readonly from: string; readonly to: string }): void {
    this.#counters.count('crash took back a rename');
    this.#rename(to, from);
  }

  #rename(from: string, to: string): void {
    this.#renamed = { from, to };
    const moved = (name: string): string => to + name.slice(from.length);
    const isBelow = (name: string): boolean => name === from || name.startsWith(`${from}/`);
    for (const [name, bytes] of [...this.#files]) {
      if (!isBelow(name)) continue;
      this.#files.delete(name);
      this.#files.set(moved(name), bytes);
    }
    for (const [name, database] of [...this.#databases]) {
      if (!isBelow(name)) continue;
      this.#databases.delete(name);
      this.#databases.set(moved(name), database);
    }
    if (this.#directories.delete(from)) this.#directories.add(to);
  }
}

/** What a process that is about to die waits for. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}
