import type { Disk, Engine, EngineOp, OpenEngine } from '../../../manager/database/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import type { Counters } from './counters.ts';
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
}

const TOTAL_BYTES = 128 * 2 ** 30;
const FREE_BYTES = { enough: TOTAL_BYTES / 2, little: LIMITS.freeBytesMin / 2, none: 1 << 20 };

type Pairs = Map<string, Uint8Array>;
/** An operation under the name of its key. */
interface NamedOp {
  readonly name: string;
  readonly value: Uint8Array | undefined;
}

/** One database: what is durable, what would be lost, and how to take back the last synced writes. */
class Store {
  memory: Pairs = new Map();
  durable: Pairs = new Map();
  /** Written, not synced, oldest first. */
  unsynced: (readonly NamedOp[])[] = [];
  /** A snapshot looks at `memory`: the next write copies it first. */
  isShared = false;
  /** A write failed: LevelDB reads its log up to there, whatever was written and synced behind. */
  tornAt: number | undefined;

  unshare(): void {
    if (!this.isShared) return;
    this.memory = new Map(this.memory);
    this.isShared = false;
  }
  write(ops: readonly NamedOp[]): void {
    this.unshare();
    put(this.memory, ops);
    this.unsynced.push(ops);
  }
  sync(): void {
    if (this.tornAt !== undefined) return;
    for (const ops of this.unsynced) put(this.durable, ops);
    this.unsynced = [];
  }
}

function put(pairs: Pairs, ops: readonly NamedOp[]): void {
  for (const { name, value } of ops) {
    if (value === undefined) pairs.delete(name);
    else pairs.set(name, value);
  }
}

function named(ops: readonly EngineOp[]): readonly NamedOp[] {
  return ops.map(({ key, value }) => ({ name: nameOf(key), value }));
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

/**
 * The disk of one machine; it outlives the processes on it. A crash keeps what was synced and any
 * beginning of what was not; a file that was being overwritten may be torn.
 */
export class SimDisk {
  readonly mood: DiskMood = { hungUntilMs: 0, slowMs: 3, room: 'enough', failsNext: false };
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #files = new Map<string, Uint8Array>();
  readonly #directories = new Set<string>();
  readonly #stores = new Map<string, Store>();
  /** Writes that a crash interrupts. */
  readonly #overwriting = new Map<string, Uint8Array>();
  readonly #writing = new Map<Store, readonly NamedOp[]>();

  constructor(timeline: Timeline, random: Random, counters: Counters) {
    this.#timeline = timeline;
    this.#random = random;
    this.#counters = counters;
  }

  /** The disk as a process sees it: nothing it asked for goes on after its death. */
  as(owner: Owner, isVoteFile: (path: string, bytes: Uint8Array) => void): Disk {
    const exists = (path: string): boolean => this.#exists(path);
    return {
      readFile: async (path) => this.#files.get(path),
      overwrite: (path, bytes) => {
        this.#overwriting.set(path, bytes);
        return this.#later(owner, () => {
          this.#overwriting.delete(path);
          this.#files.set(path, Uint8Array.from(bytes));
          isVoteFile(path, bytes);
        });
      },
      makeDirectory: async (path) => void this.#directories.add(path),
      syncDirectory: () => Promise.resolve(),
      rename: async (from, to) => this.#rename(from, to),
      remove: async (path) => this.remove(path),
      exists: async (path) => exists(path),
      list: async (path) =>
        [...this.#files.keys()]
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1)),
      space: async () => ({ freeBytes: FREE_BYTES[this.mood.room], totalBytes: TOTAL_BYTES }),
    };
  }

  openEngine(owner: Owner): OpenEngine {
    return async (path) => {
      const store = this.#stores.get(path) ?? new Store();
      this.#stores.set(path, store);
      this.#reload(store);
      return this.#engine(owner, store);
    };
  }

  /** A power cut, or SIGKILL: both leave no more than is promised. */
  crash(): void {
    for (const [path, bytes] of this.#overwriting) this.#tear(path, bytes);
    this.#overwriting.clear();
    for (const store of this.#stores.values()) {
      const inFlight = this.#writing.get(store);
      store.unsynced.length = Math.min(store.unsynced.length, store.tornAt ?? Infinity);
      if (inFlight) store.unsynced.push(inFlight);
      const kept = this.#random.below(store.unsynced.length + 1);
      if (kept < store.unsynced.length) this.#counters.count('crash lost unsynced writes');
      store.unsynced.length = kept;
      store.tornAt = kept;
      this.#reload(store);
    }
    this.#writing.clear();
  }

  /** What is in those of these files that there are. */
  read(paths: readonly string[]): Uint8Array[] {
    return paths.flatMap((path) => this.#files.get(path) ?? []);
  }

  /** Everything is gone: another disk. */
  wipe(): void {
    this.#files.clear();
    this.#directories.clear();
    this.#stores.clear();
    this.#overwriting.clear();
    this.#writing.clear();
  }

  remove(path: string): void {
    const isBelow = (name: string): boolean => name === path || name.startsWith(`${path}/`);
    for (const name of [...this.#files.keys()]) if (isBelow(name)) this.#files.delete(name);
    for (const name of [...this.#stores.keys()]) if (isBelow(name)) this.#stores.delete(name);
    for (const name of [...this.#directories]) if (isBelow(name)) this.#directories.delete(name);
  }

  /** One bit of one stored value; on a machine that is down. False when there is nothing. */
  flipBit(path: string): boolean {
    const pairs = this.#stores.get(path)?.durable;
    if (!pairs || pairs.size === 0) return false;
    const [key, value] = [...pairs][this.#random.below(pairs.size)]!;
    pairs.set(key, this.#flipped(value));
    this.#stores.get(path)!.memory = new Map(pairs);
    return true;
  }
  /** The same under a process that goes on: of a value that is on the disk, and not overwritten. */
  rotBit(path: string): boolean {
    const store = this.#stores.get(path);
    if (!store) return false;
    const stored = [...store.durable].filter(([key, value]) => store.memory.get(key) === value);
    if (stored.length === 0) return false;
    const [name, value] = stored[this.#random.below(stored.length)]!;
    const ops = [{ name, value: this.#flipped(value) }];
    store.unshare();
    put(store.memory, ops);
    put(store.durable, ops);
    return true;
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
    const pairs = this.#stores.get(path)?.durable;
    const entries = [...(pairs?.keys() ?? [])].filter((key) => key.startsWith('l/')).sort();
    if (!pairs || entries.length === 0) return false;
    const from = this.#random.below(entries.length);
    for (const key of entries.slice(from, from + 1 + this.#random.below(8))) pairs.delete(key);
    this.#stores.get(path)!.memory = new Map(pairs);
    this.#files.set(`${path}/LOG`, Buffer.from('(ignoring error) dropping 4711 bytes; Corruption'));
    return true;
  }

  /** What LevelDB finds when it reads its log again: nothing from the first torn write on. */
  #reload(store: Store): void {
    if (store.tornAt === undefined) return;
    store.unsynced.length = Math.min(store.unsynced.length, store.tornAt);
    store.tornAt = undefined;
    store.sync();
    store.memory = new Map(store.durable);
    store.isShared = false;
  }

  // -- writes

  #later(owner: Owner, done: () => void, failed = (): void => undefined): Promise<void> {
    const { mood } = this;
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

  #engine(owner: Owner, store: Store): Engine {
    return {
      write: (asked, sync) => {
        if (asked.length === 0) return Promise.resolve();
        const ops = named(asked);
        this.#writing.set(store, ops);
        const written = (): void => {
          this.#writing.delete(store);
          store.write(ops);
          if (sync) store.sync();
        };
        // What a failed write left on the disk shows at the next start.
        const torn = (): void => {
          store.tornAt ??= store.unsynced.length;
        };
        return this.#later(owner, written, torn);
      },
      get: async (key) => store.memory.get(nameOf(key)),
      getSync: (key, snapshot) => pairsOf(store, snapshot).get(nameOf(key)),
      iterate: (range, snapshot) => iterator(pairsOf(store, snapshot), range),
      snapshot: () => {
        store.isShared = true;
        return new SimSnapshot(store.memory);
      },
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

  #rename(from: string, to: string): void {
    const moved = (name: string): string => to + name.slice(from.length);
    const isBelow = (name: string): boolean => name === from || name.startsWith(`${from}/`);
    for (const [name, bytes] of [...this.#files]) {
      if (!isBelow(name)) continue;
      this.#files.delete(name);
      this.#files.set(moved(name), bytes);
    }
    for (const [name, store] of [...this.#stores]) {
      if (!isBelow(name)) continue;
      this.#stores.delete(name);
      this.#stores.set(moved(name), store);
    }
    if (this.#directories.delete(from)) this.#directories.add(to);
  }
}

class SimSnapshot {
  readonly pairs: Pairs;
  constructor(pairs: Pairs) {
    this.pairs = pairs;
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

function pairsOf(store: Store, snapshot: unknown): Pairs {
  return snapshot instanceof SimSnapshot ? snapshot.pairs : store.memory;
}

function iterator(
  pairs: Pairs,
  range: { readonly gte: Uint8Array; readonly lt: Uint8Array },
): ReturnType<Engine['iterate']> {
  const from = nameOf(range.gte);
  const to = nameOf(range.lt);
  const keys: string[] = [];
  for (const key of pairs.keys()) if (key >= from && key < to) keys.push(key);
  keys.sort();
  const values = keys.map((key) => [Buffer.from(key, 'latin1'), pairs.get(key)!] as const);
  let at = 0;
  return {
    next: async (count) => {
      const slice = values.slice(at, at + count);
      at += slice.length;
      return slice;
    },
    close: async () => undefined,
  };
}
