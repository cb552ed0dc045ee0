import type { Engine, EngineOp } from '../../../manager/database/index.ts';

type Pairs = Map<string, Uint8Array>;
type Range = Parameters<Engine['iterate']>[0];

/** An operation under the name of its key. */
interface NamedOp {
  readonly name: string;
  readonly value: Uint8Array | undefined;
}

/** One database: what is in memory, what is durable, and what a crash would lose. */
export class SimDatabase {
  readonly durable: Pairs = new Map();
  #memory: Pairs = new Map();
  /** Written, not synced, oldest first. */
  #unsynced: (readonly NamedOp[])[] = [];
  /** On its way to the disk: a crash may leave it there. */
  #inFlight: readonly NamedOp[] | undefined;
  /** A snapshot looks at the memory: the next write copies it first. */
  #isShared = false;
  /** A write failed: LevelDB reads its log up to there, whatever was written and synced behind. */
  #tornAt: number | undefined;

  /** A write begins; what it returns ends it. */
  begin(asked: readonly EngineOp[]): { end(sync: boolean): void; fail(): void } {
    const ops = asked.map(({ key, value }) => ({ name: nameOf(key), value }));
    this.#inFlight = ops;
    return {
      end: (sync) => {
        this.#inFlight = undefined;
        this.#unshare();
        put(this.#memory, ops);
        this.#unsynced.push(ops);
        if (sync) this.#sync();
      },
      // What a failed write left on the disk shows at the next start.
      fail: () => {
        this.#tornAt ??= this.#unsynced.length;
      },
    };
  }

  get(key: Uint8Array, snapshot?: unknown): Uint8Array | undefined {
    return this.#seenBy(snapshot).get(nameOf(key));
  }
  iterate(range: Range, snapshot: unknown): ReturnType<Engine['iterate']> {
    const pairs = this.#seenBy(snapshot);
    const [from, to] = [nameOf(range.gte), nameOf(range.lt)];
    const keys: string[] = [];
    for (const key of pairs.keys()) if (key >= from && key < to) keys.push(key);
    keys.sort();
    const values = keys.map((key) => [Buffer.from(key, 'latin1'), pairs.get(key)!] as const);
    return {
      next: async (count) => values.splice(0, count),
      close: async () => undefined,
    };
  }
  snapshot(): { close(): Promise<void> } {
    this.#isShared = true;
    return new SimSnapshot(this.#memory);
  }

  /** Any beginning of what was not synced is left; `keep` says of how many how many. True: not all. */
  crash(keep: (count: number) => number): boolean {
    this.#cutTorn();
    if (this.#inFlight) this.#unsynced.push(this.#inFlight);
    this.#inFlight = undefined;
    const count = this.#unsynced.length;
    const kept = keep(count);
    this.#unsynced.length = kept;
    this.#tornAt = kept;
    this.reload();
    return kept < count;
  }
  /** What LevelDB finds when it reads its log again: nothing from the first torn write on. */
  reload(): void {
    if (this.#tornAt === undefined) return;
    this.#cutTorn();
    this.#tornAt = undefined;
    this.#sync();
    this.forget();
  }
  /** What is in memory is what the disk has. */
  forget(): void {
    this.#memory = new Map(this.durable);
    this.#isShared = false;
  }

  /** What is on the disk and not overwritten since. */
  get stored(): readonly (readonly [name: string, value: Uint8Array])[] {
    return [...this.durable].filter(([name, value]) => this.#memory.get(name) === value);
  }
  /** Under a process that goes on, which sees it when it looks there next. */
  damage(name: string, value: Uint8Array): void {
    this.#unshare();
    this.#memory.set(name, value);
    this.durable.set(name, value);
  }

  #cutTorn(): void {
    if (this.#tornAt === undefined) return;
    this.#unsynced.length = Math.min(this.#unsynced.length, this.#tornAt);
  }
  #sync(): void {
    if (this.#tornAt !== undefined) return;
    for (const ops of this.#unsynced) put(this.durable, ops);
    this.#unsynced = [];
  }
  #unshare(): void {
    if (!this.#isShared) return;
    this.#memory = new Map(this.#memory);
    this.#isShared = false;
  }
  #seenBy(snapshot: unknown): Pairs {
    return snapshot instanceof SimSnapshot ? snapshot.pairs : this.#memory;
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

function put(pairs: Pairs, ops: readonly NamedOp[]): void {
  for (const { name, value } of ops) {
    if (value === undefined) pairs.delete(name);
    else pairs.set(name, value);
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
