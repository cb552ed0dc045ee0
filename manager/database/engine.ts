/** The key-value store below `Database`: LevelDB in production, a simulated disk in simulations. */
export interface Engine {
  /** The memory of keys and values may be used again as soon as `write` has returned. */
  readonly copiesAtOnce?: true;
  /** Atomic; with `sync` durable when it resolves. */
  write(ops: readonly EngineOp[], sync: boolean): Promise<void>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getSync(key: Uint8Array, snapshot?: EngineSnapshot): Uint8Array | undefined;
  iterate(range: KeyRange, snapshot?: EngineSnapshot): EngineIterator;
  /**
   * All keys that begin with `prefix`, as text: for keys that are written as text behind it, which
   * cost half when they need not become bytes first. Absent: `iterate` is used.
   */
  readonly iterateText?: (prefix: Uint8Array) => EngineTextIterator;
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
export interface EngineTextIterator {
  /** Up to `count` further pairs in key order, the key as UTF-8 text; none at the end. */
  next(count: number): Promise<readonly (readonly [string, Uint8Array])[]>;
  close(): Promise<void>;
}
/** The database as it was at one moment. To be closed by who took it. */
export interface EngineSnapshot {
  close(): Promise<void>;
}
export type OpenEngine = (directory: string) => Promise<Engine>;
