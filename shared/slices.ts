import type { Clock, Timer } from './clock.ts';

/** After this much work at a stretch, other events get their turn. */
const SLICE_MS = 10;
/** Items between two looks at the clock: seldom enough to cost nothing. */
const PIECE = 200;

/** Work that is done in slices of 10 ms, with other events in between. */
export class Slices {
  /** Resolves when all is done or it was cancelled. */
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #work: Iterator<void>;
  readonly #done: () => void;
  #end: () => void = () => undefined;
  #timer: Timer | undefined;
  #isOver = false;

  /**
   * `work`: a generator that yields every few hundred microseconds. The first slice is done at once;
   * `done` is called after the last.
   */
  constructor(clock: Clock, work: Iterator<void>, done: () => void = () => undefined) {
    this.#clock = clock;
    this.#work = work;
    this.#done = done;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#slice();
  }

  get isOver(): boolean {
    return this.#isOver;
  }
  /** Nothing more is done, nor is `done` called. */
  cancel(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#end();
  }

  #slice(): void {
    const untilMs = this.#clock.monotonicMs() + SLICE_MS;
    while (!this.#work.next().done) {
      if (this.#clock.monotonicMs() < untilMs) continue;
      this.#timer = this.#clock.setTimer(0, () => this.#slice());
      return;
    }
    this.#isOver = true;
    this.#done();
    this.#end();
  }
}

/** Does all of `work` at once. */
export function atOnce(work: Iterator<void>): void {
  while (!work.next().done);
}

/** Takes all items, with a yield after every few hundred. */
export function* inPieces<T>(
  items: Iterable<T>,
  take: (item: T) => void,
  count: number = PIECE,
): Generator<void, void> {
  let left = count;
  for (const item of items) {
    take(item);
    if (--left > 0) continue;
    left = count;
    yield;
  }
}
