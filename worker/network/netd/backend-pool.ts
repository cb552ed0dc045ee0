import type { Random } from '../../../shared/random.ts';
import type { BackendWish } from './wish.ts';

/** A backend of one listener, as long as anything goes to it. */
export interface PoolEntry {
  readonly taskId: string;
  readonly host: string;
  readonly port: number;
  draining: boolean;
  /** Connections of this listener that are open or being dialled. */
  open: number;
  /** In no row any more: new connections and flows go elsewhere. */
  gone: boolean;
  /** Until then others are tried first, because a dial failed; monotonic milliseconds. */
  avoidUntilMs: number;
  /** How long the next failure keeps it back. */
  nextAvoidMs: number;
}

const AVOID_MIN_MS = 250;
const AVOID_MAX_MS = 4_000;

/**
 * The backends of one published port and the choice among them: in turn, but of two neighbours the
 * one with fewer open connections. Local ones are not preferred, so that a node that gets all the
 * traffic does not overload its own tasks.
 */
export class BackendPool {
  #entries: PoolEntry[] = [];
  #cursor = 0;
  readonly #random: Random;
  readonly #waiting = new Set<() => void>();

  constructor(random: Random) {
    this.#random = random;
  }
  get entries(): readonly PoolEntry[] {
    return this.#entries;
  }
  /** Takes over new rows; what is known of a backend stays with it. Wakes who waits. */
  update(wishes: readonly BackendWish[]): void {
    const before = new Map(this.#entries.map((entry) => [identity(entry), entry]));
    const fresh = this.#entries.length === 0;
    this.#entries = wishes.map((wish) => {
      const entry = before.get(identity(wish));
      if (entry === undefined) return newEntry(wish);
      before.delete(identity(wish));
      entry.draining = wish.draining;
      return entry;
    });
    for (const entry of before.values()) entry.gone = true;
    // Every node begins elsewhere, or all first connections would meet at one backend.
    if (fresh && this.#entries.length > 0) this.#cursor = this.#random.below(this.#entries.length);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
  /** The next backend for a new connection, or none that is ready and not in `tried`. */
  pick(nowMs: number, tried?: ReadonlySet<PoolEntry>): PoolEntry | undefined {
    return this.#choose(nowMs, tried, false) ?? this.#choose(nowMs, tried, true);
  }
  hasReady(): boolean {
    return this.#entries.some((entry) => !entry.draining);
  }
  /** Calls `wake` once, at the next change of the rows. Returns what takes it back. */
  onChange(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }
  failed(entry: PoolEntry, nowMs: number): void {
    entry.avoidUntilMs = nowMs + entry.nextAvoidMs;
    entry.nextAvoidMs = Math.min(AVOID_MAX_MS, entry.nextAvoidMs * 2);
  }
  answered(entry: PoolEntry): void {
    entry.avoidUntilMs = 0;
    entry.nextAvoidMs = AVOID_MIN_MS;
  }
  #choose(
    nowMs: number,
    tried: ReadonlySet<PoolEntry> | undefined,
    avoidedToo: boolean,
  ): PoolEntry | undefined {
    const count = this.#entries.length;
    const start = this.#cursor;
    let first: PoolEntry | undefined;
    for (let step = 0; step < count; step++) {
      const entry = this.#entries[(start + step) % count]!;
      if (entry.draining || tried?.has(entry)) continue;
      if (!avoidedToo && entry.avoidUntilMs > nowMs) continue;
      // A tie goes to the first: with short connections this is plain round robin.
      if (first !== undefined) return entry.open < first.open ? entry : first;
      first = entry;
      this.#cursor = (start + step + 1) % count;
    }
    return first;
  }
}

function identity(backend: { taskId: string; host: string; port: number }): string {
  return `${backend.taskId} ${backend.host} ${backend.port}`;
}

function newEntry(wish: BackendWish): PoolEntry {
  return {
    taskId: wish.taskId,
    host: wish.host,
    port: wish.port,
    draining: wish.draining,
    open: 0,
    gone: false,
    avoidUntilMs: 0,
    nextAvoidMs: AVOID_MIN_MS,
  };
}
