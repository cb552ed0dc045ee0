import { type Entry, entrySize } from '../core/index.ts';

/** Entries that are read again from the disk at a time. */
const READ_BYTES = 2 << 20;
/** Stretches of the log that are kept: one for each member that is behind, as a rule. */
const STRETCHES_MAX = 4;

export interface ColdEntriesDeps {
  /** Durable entries from `from` on, in order, at least one, until they have `bytes`. */
  readonly read: (from: number, bytes: number) => Promise<readonly Entry[]>;
  /** What was missing is there: who got `pending` may ask again. */
  readonly arrived: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Log entries that are not in memory any more, for members that are far behind: the first question
 * for one is answered `pending` and begins the reading, the next finds it.
 */
export class ColdEntries {
  readonly #deps: ColdEntriesDeps;
  readonly #reading = new Set<number>();
  /** Newest first. */
  #stretches: (readonly Entry[])[] = [];
  /** What is read from an older log than this is dropped. */
  #epoch = 0;

  constructor(deps: ColdEntriesDeps) {
    this.#deps = deps;
  }

  /** Entries in [lo, hi), at least one, as far as they are here and fit into `sizeBytesMax`. */
  get(lo: number, hi: number, sizeBytesMax: number): readonly Entry[] | 'pending' {
    const stretch = this.#stretches.find((s) => lo >= s[0]!.index && lo <= s.at(-1)!.index);
    if (stretch === undefined) {
      this.#fetch(lo);
      return 'pending';
    }
    const first = lo - stretch[0]!.index;
    let end = first;
    let size = 0;
    while (end < stretch.length && stretch[end]!.index < hi) {
      size += entrySize(stretch[end]!);
      if (size > sizeBytesMax && end > first) break;
      end++;
    }
    return stretch.slice(first, end);
  }

  /** Nobody is answered with entries up to `index` any more. */
  compacted(index: number): void {
    this.#stretches = this.#stretches.filter((stretch) => stretch.at(-1)!.index > index);
  }

  /** The log is another now. */
  clear(): void {
    this.#stretches = [];
    this.#epoch++;
  }

  #fetch(lo: number): void {
    if (this.#reading.has(lo)) return;
    this.#reading.add(lo);
    const epoch = this.#epoch;
    this.#deps.read(lo, READ_BYTES).then(
      (entries) => {
        this.#reading.delete(lo);
        // Nothing: it was compacted meanwhile, and who asks again is told so.
        if (epoch !== this.#epoch || entries.length === 0) return;
        this.#stretches = [entries, ...this.#stretches].slice(0, STRETCHES_MAX);
        this.#deps.arrived();
      },
      (error: unknown) => this.#deps.failed(error),
    );
  }
}
