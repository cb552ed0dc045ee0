import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import type { ReadState } from './core/index.ts';
import { putU64 } from './storage/keys.ts';

export interface ReadsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly raftId: number;
  /** Asks the core; false when nobody leads. */
  readonly request: (context: Uint8Array) => boolean;
  readonly appliedIndex: () => number;
}

interface Reader {
  readonly deadlineMs: number;
  readonly resolve: (index: number) => void;
  readonly reject: (error: SwarmError) => void;
}

/**
 * Linearizable reads. All that wait share one round of the leader's heartbeats; those that come
 * meanwhile share the next. Each attempt has a context of its own: an answer to an older attempt
 * must never serve a reader that came after it.
 */
export class Reads {
  readonly #deps: ReadsDeps;
  #waiting: Reader[] = [];
  #asked: { readonly key: string; readonly atMs: number; readers: Reader[] } | undefined;
  #confirmed: { readonly index: number; readonly readers: readonly Reader[] }[] = [];
  #counter = 0;
  #scheduled = false;
  #closed: SwarmError | undefined;

  constructor(deps: ReadsDeps) {
    this.#deps = deps;
  }

  /** Resolves with an index that is applied here and was committed after the call. */
  read(timeoutMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed);
      const deadlineMs = this.#deps.clock.monotonicMs() + timeoutMs;
      this.#waiting.push({ deadlineMs, resolve, reject });
      this.#schedule();
    });
  }

  answered(state: ReadState): void {
    const asked = this.#asked;
    if (asked === undefined || asked.key !== keyOf(state.context)) return;
    this.#asked = undefined;
    this.#confirmed.push({ index: state.index, readers: asked.readers });
    this.applied();
    if (this.#waiting.length > 0) this.#ask();
  }

  /** The applied index has moved on. */
  applied(): void {
    if (this.#confirmed.length === 0) return;
    const index = this.#deps.appliedIndex();
    const served = this.#confirmed.filter((group) => group.index <= index);
    if (served.length === 0) return;
    this.#confirmed = this.#confirmed.filter((group) => group.index > index);
    for (const group of served) for (const reader of group.readers) reader.resolve(group.index);
  }

  /** Asks again after `retryMs` without an answer, and gives up for those whose time is over. */
  tick(retryMs: number): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const asked = this.#asked;
    if (asked && nowMs - asked.atMs >= retryMs) {
      this.#asked = undefined;
      this.#waiting = [...asked.readers, ...this.#waiting];
    }
    this.#waiting = this.#waiting.filter((reader) => isInTime(reader, nowMs));
    if (this.#asked) {
      this.#asked.readers = this.#asked.readers.filter((reader) => isInTime(reader, nowMs));
    }
    this.#confirmed = this.#confirmed.map(({ index, readers }) => {
      return { index, readers: readers.filter((reader) => isInTime(reader, nowMs)) };
    });
    if (this.#waiting.length > 0 && !this.#asked) this.#ask();
  }

  /** Leadership or the leader changed: what was asked is asked again. */
  askAgain(): void {
    this.tick(0);
  }

  close(error: SwarmError): void {
    this.#closed = error;
    const readers = [
      ...this.#waiting,
      ...(this.#asked?.readers ?? []),
      ...this.#confirmed.flatMap((group) => group.readers),
    ];
    this.#waiting = [];
    this.#asked = undefined;
    this.#confirmed = [];
    for (const reader of readers) reader.reject(error);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#asked && this.#waiting.length > 0) this.#ask();
    });
  }

  #ask(): void {
    const context = this.#newContext();
    const readers = this.#waiting;
    const atMs = this.#deps.clock.monotonicMs();
    this.#asked = { key: keyOf(context), atMs, readers };
    this.#waiting = [];
    if (this.#deps.request(context)) return;
    this.#asked = undefined;
    this.#waiting = readers;
  }

  /** Unique in the cluster: the member, a number of this attempt, and chance against restarts. */
  #newContext(): Uint8Array {
    const context = Buffer.alloc(20);
    putU64(context, this.#deps.raftId, 0);
    putU64(context, ++this.#counter, 8);
    context.set(this.#deps.random.bytes(4), 16);
    return context;
  }
}

function isInTime(reader: Reader, nowMs: number): boolean {
  if (nowMs < reader.deadlineMs) return true;
  reader.reject(new SwarmError('NO_QUORUM', 'no quorum of managers answered in time'));
  return false;
}

function keyOf(context: Uint8Array): string {
  return Buffer.from(context.buffer, context.byteOffset, context.byteLength).toString('latin1');
}
