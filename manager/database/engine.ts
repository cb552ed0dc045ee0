import { Level } from 'level';
import { SwarmError } from '../../shared/errors.ts';

/** The key-value store below `Database`: LevelDB in production, a simulated disk in simulations. */
export interface Engine {
  /** The memory of keys and values may be used again as soon as `write` has returned. */
  readonly copiesAtOnce?: true;
  /** Atomic; with `sync` durable when it resolves. */
  write(ops: readonly EngineOp[], sync: boolean): Promise<void>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getSync(key: Uint8Array, snapshot?: EngineSnapshot): Uint8Array | undefined;
  iterate(range: KeyRange, snapshot?: EngineSnapshot): EngineIterator;
  snapshot(): EngineSnapshot;
  close(): Promise<void>;
}

/** `value` undefined: the key is deleted. */
export interface EngineOp {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}
/** Keys in [gte, lt). */
export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}
export interface EngineIterator {
  /** Up to `count` further pairs in key order; none at the end. */
  next(count: number): Promise<readonly (readonly [Uint8Array, Uint8Array])[]>;
  close(): Promise<void>;
}
/** The database as it was at one moment. To be closed by who took it. */
export interface EngineSnapshot {
  close(): Promise<void>;
}
export type OpenEngine = (directory: string) => Promise<Engine>;

/** Opens (or creates) a LevelDB. Rejects with STATE_DIR when another process holds it. */
export const openLevel: OpenEngine = async (directory) => {
  const level = new Level<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  }) as unknown as NodeLevel;
  try {
    await level.open();
  } catch (error) {
    throw openError(directory, error);
  }
  return new LevelEngine(level);
};

/** What `level` is on Node; its own declarations are those of Node and browsers together. */
interface NodeLevel {
  open(): Promise<void>;
  close(): Promise<void>;
  batch(): LevelBatch;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getSync(key: Uint8Array, options: object): Uint8Array | undefined;
  iterator(options: object): LevelIterator;
  snapshot(): LevelHandle;
}
interface LevelIterator extends LevelHandle {
  nextv(count: number): Promise<[Uint8Array, Uint8Array][]>;
}
interface LevelHandle {
  close(): Promise<void>;
}
interface LevelBatch {
  put(key: Uint8Array, value: Uint8Array): unknown;
  del(key: Uint8Array): unknown;
  write(options: { sync: boolean }): Promise<void>;
}

class LevelSnapshot implements EngineSnapshot {
  readonly level: LevelHandle;
  constructor(level: LevelHandle) {
    this.level = level;
  }
  close(): Promise<void> {
    return this.level.close();
  }
}

class LevelEngine implements Engine {
  readonly copiesAtOnce = true;
  readonly #level: NodeLevel;
  constructor(level: NodeLevel) {
    this.#level = level;
  }
  async write(ops: readonly EngineOp[], sync: boolean): Promise<void> {
    if (ops.length === 0) return;
    // A chained batch costs half the CPU of an array: that one copies every operation.
    const batch = this.#level.batch();
    for (const { key, value } of ops) {
      if (value === undefined) batch.del(key);
      else batch.put(key, value);
    }
    await batch.write({ sync });
  }
  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#level.get(key);
  }
  getSync(key: Uint8Array, snapshot?: EngineSnapshot): Uint8Array | undefined {
    return this.#level.getSync(key, snapshotOption(snapshot));
  }
  iterate(range: KeyRange, snapshot?: EngineSnapshot): EngineIterator {
    const options = { gte: range.gte, lt: range.lt, ...snapshotOption(snapshot) };
    const iterator = this.#level.iterator({ ...options, highWaterMarkBytes: 256 << 10 });
    return { next: (count) => iterator.nextv(count), close: () => iterator.close() };
  }
  snapshot(): EngineSnapshot {
    return new LevelSnapshot(this.#level.snapshot());
  }
  close(): Promise<void> {
    return this.#level.close();
  }
}

function snapshotOption(snapshot: EngineSnapshot | undefined): { snapshot?: LevelHandle } {
  return snapshot instanceof LevelSnapshot ? { snapshot: snapshot.level } : {};
}

function openError(directory: string, error: unknown): SwarmError {
  const cause = (error as { cause?: { code?: string } }).cause;
  if (cause?.code === 'LEVEL_LOCKED') {
    return new SwarmError('STATE_DIR', `another swarm daemon uses this directory: ${directory}`, {
      cause: error,
    });
  }
  if (cause?.code === 'LEVEL_CORRUPTION') {
    const text = 'the state database cannot be opened: LevelDB says it is corrupt';
    return new SwarmError('DAMAGED', text, { cause: error });
  }
  return new SwarmError('STATE_DIR', `the state database in ${directory} cannot be opened`, {
    cause: error,
  });
}
