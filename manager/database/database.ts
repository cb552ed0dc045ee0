import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import { Arena } from './arena.ts';
import { crc32 } from './crc.ts';
import { readDataKeys } from './data-key.ts';
import type { Disk } from './disk.ts';
import type { Engine, EngineSnapshot, EngineTextIterator, KeyRange, OpenEngine } from './engine.ts';
import { FreeSpaceGuard } from './free-space.ts';
import { OpenMarker, refuseDroppedBytes } from './open-check.ts';
import { type Examination, examineInChild } from './open-probe.ts';
import { type Allocate, Sealer } from './seal.ts';
import { WriteLatency } from './write-latency.ts';

/** Names inside the folder of a manager's state. */
export const DATABASE_FILES = { database: 'db', dataKey: 'data.key', marker: 'opening' } as const;
const ROWS_PER_READ = 1_000;

/** `value` undefined: deleted. `secret`: sealed by encryption instead of a checksum. */
export interface DbOp {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
  readonly secret: boolean;
}
export interface DbRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly secret: boolean;
}
/** A row whose key is a prefix and a text. */
export interface NamedRow {
  readonly name: string;
  readonly value: Uint8Array;
  readonly secret: boolean;
}
/** A value whose seal is broken. */
export interface Broken {
  readonly key: Uint8Array;
  readonly error: SwarmError;
}
export interface Verified {
  readonly last: Uint8Array | undefined;
  readonly broken: readonly Broken[];
}
/** The database at one moment; to be closed by who took it. */
export interface DbSnapshot {
  getSync(key: Uint8Array): Uint8Array | undefined;
  /** In key order, up to a thousand rows at a time; the event loop turns between them. */
  slices(range: KeyRange): AsyncGenerator<readonly DbRow[], void>;
  /** The same row by row, for what is small. */
  iterate(range: KeyRange): AsyncGenerator<DbRow, void>;
  close(): Promise<void>;
}

export interface DatabaseDeps {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Log;
  readonly openEngine: OpenEngine;
  /** The first failed write; nothing is written after it, the process must end. */
  readonly onPoison: (error: SwarmError) => void;
  /** Asked after an opening that did not end; `examineInChild` when absent. */
  readonly examine?: (path: string) => Promise<Examination>;
}

/**
 * The one LevelDB of a manager. Writes go through it one after the other, every value carries its
 * seal (seal.ts), and the first write that fails is the last that is tried: LevelDB acknowledges
 * writes after an error which are gone when it is opened again.
 */
export class Database {
  /** Of synced writes. */
  readonly latency = new WriteLatency();
  readonly #deps: DatabaseDeps;
  readonly #engine: Engine;
  readonly #sealer: Sealer;
  readonly #marker: OpenMarker;
  readonly #space: FreeSpaceGuard;
  readonly #arena = new Arena();
  readonly #allocate: Allocate;
  #tail: Promise<void> = Promise.resolve();
  #poison: SwarmError | undefined;
  #writingSinceMs: number | undefined;
  #closed = false;

  private constructor(
    deps: DatabaseDeps,
    engine: Engine,
    sealer: Sealer,
    marker: OpenMarker,
    directory: string,
  ) {
    this.#deps = deps;
    this.#engine = engine;
    this.#sealer = sealer;
    this.#marker = marker;
    this.#allocate = engine.copiesAtOnce
      ? (bytes) => this.#arena.allocate(bytes)
      : Buffer.allocUnsafe;
    this.#space = new FreeSpaceGuard(directory, {
      clock: deps.clock,
      disk: deps.disk,
      onReadOnly: (readOnly, freeBytes) => this.#noteReadOnly(readOnly, freeBytes),
    });
  }

  /**
   * Opens the database in `directory` (see DATABASE_FILES); it must have been made before, by
   * `raft/storage/bootstrap.ts`. Rejects with STATE_DIR (used by another daemon, cannot be read) or
   * DAMAGED. The caller calls `passed` when its own checks of the content have passed.
   */
  static async open(directory: string, deps: DatabaseDeps): Promise<Database> {
    const path = join(directory, DATABASE_FILES.database);
    const keys = await readDataKeys(join(directory, DATABASE_FILES.dataKey), deps.disk);
    await refuseDroppedBytes(path, deps.disk);
    const marker = new OpenMarker(join(directory, DATABASE_FILES.marker), deps.disk);
    const unfinished = await marker.raise();
    if (unfinished > 0) await examineAfterCrash(path, deps, unfinished);
    const engine = await deps.openEngine(path);
    try {
      await refuseDroppedBytes(path, deps.disk);
    } catch (error) {
      await engine.close();
      throw error;
    }
    const sealer = new Sealer(keys, deps.random);
    const database = new Database(deps, engine, sealer, marker, directory);
    await database.#space.start();
    return database;
  }

  /** The owner's checks of what is inside have passed too. */
  async passed(): Promise<void> {
    await this.#marker.clear();
  }

  /** Too little room on the disk: whoever proposes new content is refused. */
  get readOnly(): boolean {
    return this.#space.readOnly;
  }
  get poisoned(): SwarmError | undefined {
    return this.#poison;
  }
  /** How long the write at hand has been outstanding, in milliseconds; 0 when there is none. */
  outstandingMs(): number {
    if (this.#writingSinceMs === undefined) return 0;
    return this.#deps.clock.monotonicMs() - this.#writingSinceMs;
  }

  /**
   * Writes all of it or nothing, after every write asked for before; durable with `sync`. Rejects
   * after the first failure of any write, also that of others.
   */
  write(ops: readonly DbOp[], options: { readonly sync: boolean }): Promise<void> {
    const done = this.#tail.then(() => this.#writeNow(ops, options.sync));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** Reads one value. Throws DAMAGED when its seal is broken. */
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const value = await this.#engine.get(key);
    return value === undefined ? undefined : this.#sealer.open(key, value).payload;
  }

  slices(range: KeyRange): AsyncGenerator<readonly DbRow[], void> {
    return this.#slices(range, undefined);
  }
  iterate(range: KeyRange): AsyncGenerator<DbRow, void> {
    return flatten(this.#slices(range, undefined));
  }

  /** Rows whose key is `prefix` and a text behind it, in key order, up to a thousand at a time. */
  async *namedSlices(prefix: Uint8Array): AsyncGenerator<readonly NamedRow[], void> {
    const iterator = this.#engine.iterateText?.(prefix) ?? this.#textsOf(prefix);
    // Limits and keys are decoded alike, also where the bytes of the prefix are no text.
    const { length } = Buffer.from(prefix).toString();
    const prefixCrc = crc32(prefix);
    let reading = iterator.next(ROWS_PER_READ);
    try {
      for (;;) {
        const pairs = await reading;
        if (pairs.length === 0) return;
        reading = iterator.next(ROWS_PER_READ);
        yield pairs.map(([key, value]) => {
          const name = key.slice(length);
          const { payload, secret } = this.#sealer.openNamed(prefix, prefixCrc, name, value);
          return { name, value: payload, secret };
        });
      }
    } finally {
      await reading.catch(() => undefined);
      await iterator.close();
    }
  }

  /**
   * Reads up to `count` values whose keys come after `after`, and opens each. `last`: the key that
   * was reached; undefined: there is none left. Rejects when LevelDB itself cannot read.
   */
  async verify(after: Uint8Array, count: number): Promise<Verified> {
    const range = { gte: Buffer.concat([after, Buffer.of(0)]), lt: Buffer.of(0xff) };
    const iterator = this.#engine.iterate(range);
    try {
      const pairs = await iterator.next(count);
      const broken: Broken[] = [];
      for (const [key, value] of pairs) {
        try {
          this.#sealer.open(key, value);
        } catch (error) {
          if (!SwarmError.is(error)) throw error;
          broken.push({ key, error });
        }
      }
      return { last: pairs.at(-1)?.[0], broken };
    } finally {
      await iterator.close();
    }
  }

  /** Deletes a range in slices, each an own write. Keys, not values, are looked at. */
  async clear(range: KeyRange, options: { readonly sync: boolean }): Promise<void> {
    const iterator = this.#engine.iterate(range);
    try {
      for (;;) {
        const pairs = await iterator.next(ROWS_PER_READ);
        if (pairs.length === 0) return;
        const ops = pairs.map(([key]) => ({ key, value: undefined, secret: false }));
        await this.write(ops, options);
      }
    } finally {
      await iterator.close();
    }
  }

  snapshot(): DbSnapshot {
    const snapshot = this.#engine.snapshot();
    return {
      getSync: (key) => {
        const value = this.#engine.getSync(key, snapshot);
        return value === undefined ? undefined : this.#sealer.open(key, value).payload;
      },
      slices: (range) => this.#slices(range, snapshot),
      iterate: (range) => flatten(this.#slices(range, snapshot)),
      close: () => snapshot.close(),
    };
  }

  /** Waits for the writes that were asked for. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#space.stop();
    await this.#tail;
    await this.#engine.close();
  }

  async #writeNow(ops: readonly DbOp[], sync: boolean): Promise<void> {
    if (this.#poison) throw this.#poison;
    this.#arena.reset();
    const sealed = ops.map(({ key, value, secret }) => ({
      key,
      value: value && this.#sealer.seal(key, value, secret, this.#allocate),
    }));
    this.#writingSinceMs = this.#deps.clock.monotonicMs();
    try {
      await this.#engine.write(sealed, sync);
    } catch (error) {
      throw this.#poisonWith(error);
    } finally {
      if (sync) this.latency.add(this.#deps.clock.monotonicMs() - this.#writingSinceMs);
      this.#writingSinceMs = undefined;
    }
  }

  #poisonWith(error: unknown): SwarmError {
    if (this.#poison) return this.#poison;
    const reason = messageOf((error as { cause?: unknown }).cause ?? error);
    const text = `writing the cluster's state to disk failed: ${reason}`;
    this.#poison = new SwarmError('STATE_DIR', text, {
      cause: error,
      advice: 'Repair or enlarge the disk, then start the daemon again: it checks its state.',
    });
    this.#deps.log.error({ reason }, 'a write to the state database failed: no more are made');
    this.#deps.onPoison(this.#poison);
    return this.#poison;
  }

  async *#slices(
    range: KeyRange,
    snapshot: EngineSnapshot | undefined,
  ): AsyncGenerator<readonly DbRow[], void> {
    const iterator = this.#engine.iterate(range, snapshot);
    // LevelDB reads the next slice in its thread while this one is worked on.
    let reading = iterator.next(ROWS_PER_READ);
    try {
      for (;;) {
        const pairs = await reading;
        if (pairs.length === 0) return;
        reading = iterator.next(ROWS_PER_READ);
        yield pairs.map(([key, value]) => {
          const { payload, secret } = this.#sealer.open(key, value);
          return { key, value: payload, secret };
        });
      }
    } finally {
      await reading.catch(() => undefined);
      await iterator.close();
    }
  }

  #textsOf(prefix: Uint8Array): EngineTextIterator {
    const lt = Uint8Array.from(prefix);
    lt[lt.length - 1]!++;
    const iterator = this.#engine.iterate({ gte: prefix, lt });
    return {
      next: async (count) => {
        const pairs = await iterator.next(count);
        return pairs.map(([key, value]) => [Buffer.from(key).toString(), value] as const);
      },
      close: () => iterator.close(),
    };
  }

  #noteReadOnly(readOnly: boolean, freeBytes: number): void {
    const { log } = this.#deps;
    if (readOnly) log.warn({ freeBytes }, 'the disk is nearly full: no changes are taken');
    else log.info({ freeBytes }, 'the disk has room again');
  }
}

/** The last opening did not end: the daemon was killed, or LevelDB itself took it down. */
async function examineAfterCrash(
  path: string,
  deps: DatabaseDeps,
  unfinished: number,
): Promise<void> {
  const found = await (deps.examine ?? examineInChild)(path);
  deps.log.warn({ unfinished, found }, 'the last opening of the state did not end');
  if (found !== 'crashes') return;
  throw new SwarmError(
    'DAMAGED',
    'the state database is damaged: LevelDB crashes when it reads it',
  );
}

async function* flatten(slices: AsyncIterable<readonly DbRow[]>): AsyncGenerator<DbRow, void> {
  for await (const slice of slices) yield* slice;
}
