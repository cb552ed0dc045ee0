import type { Clock, Timer } from '../../../shared/clock.ts';

/** Something that runs on a machine; what is due for it is dropped once it is dead. */
export interface Owner {
  readonly isDead: boolean;
  /** The machine stands still until then, in milliseconds of the timeline. */
  readonly pausedUntilMs: number;
}

interface Event {
  readonly dueMs: number;
  /** Later than it is due where its machine stands still. */
  atMs: number;
  readonly order: number;
  readonly owner: Owner | undefined;
  readonly run: () => void;
  isCancelled: boolean;
}

const TURNS_PER_BATCH = 100;

/**
 * The one queue of events. Whatever happens in a simulation happens because an event of this queue
 * ran; all promises that follow from one settle before the next one runs: production code waits for
 * nothing but injected clocks, disks and networks, so a turn of Node's event loop (`setImmediate`,
 * which runs when no microtask is left) ends them all, in an order that V8 fixes.
 */
export class Timeline {
  #nowMs = 0;
  #order = 0;
  #heap: Event[] = [];
  ran = 0;
  /** Set by who wants the run to end. */
  stopped = false;

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void, owner?: Owner): { cancel(): void } {
    const dueMs = this.#nowMs + Math.max(0, delayMs);
    const order = this.#order++;
    const event: Event = { dueMs, atMs: dueMs, order, owner, run, isCancelled: false };
    this.#push(event);
    return {
      cancel: () => {
        event.isCancelled = true;
      },
    };
  }

  /** Runs events until `stopped`, `untilMs`, or nothing is left; `after` follows each. */
  run(untilMs: number, after: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOver = false;
      const turn = (): void => {
        if (isOver) return;
        try {
          after();
          const event = this.stopped ? undefined : this.#next(untilMs);
          if (event === undefined) {
            isOver = true;
            resolve();
            return;
          }
          this.ran++;
          event.run();
        } catch (error) {
          isOver = true;
          reject(error as Error);
        }
      };
      // Microtasks and ticks are run to their end between two immediates of one batch as well; a
      // batch saves the rest of a turn of the event loop, which costs more than most events.
      const batch = (): void => {
        if (isOver) return;
        for (let i = 0; i < TURNS_PER_BATCH; i++) setImmediate(turn);
        setImmediate(batch);
      };
      batch();
    });
  }

  #next(untilMs: number): Event | undefined {
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) return undefined;
      this.#pop();
      if (event.isCancelled || event.owner?.isDead) continue;
      const pausedUntilMs = event.owner?.pausedUntilMs ?? 0;
      if (pausedUntilMs > event.atMs) {
        event.atMs = pausedUntilMs;
        this.#push(event);
        continue;
      }
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      return event;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      }
      if (least === at) return;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

/** What a machine that stood still has to catch up with comes in the order in which it was due. */
function isBefore(a: Event, b: Event): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.dueMs === b.dueMs ? a.order < b.order : a.dueMs < b.dueMs;
}

/** The clock of one process: it starts anywhere and runs a little too fast or too slow. */
export class SimClock implements Clock {
  readonly #timeline: Timeline;
  readonly #owner: Owner;
  readonly #startMs: number;
  readonly #baseMs: number;
  readonly #rate: number;
  /** How far the clock moves on with every look: work takes time on a busy machine. */
  creepMs = 0;
  #crept = 0;

  constructor(timeline: Timeline, owner: Owner, baseMs: number, rate: number) {
    this.#timeline = timeline;
    this.#owner = owner;
    this.#startMs = timeline.nowMs;
    this.#baseMs = baseMs;
    this.#rate = rate;
  }
  monotonicMs(): number {
    this.#crept += this.creepMs;
    return this.#baseMs + this.#crept + (this.#timeline.nowMs - this.#startMs) * this.#rate;
  }
  wallMs(): number {
    return Math.floor(1_700_000_000_000 + this.monotonicMs());
  }
  setTimer(delayMs: number, fn: () => void): Timer {
    // As Node's timers, never less than a millisecond: moments are floating point numbers, and a
    // shorter wait could be none at all.
    return this.#timeline.after(Math.max(1, delayMs) / this.#rate, fn, this.#owner);
  }
}
