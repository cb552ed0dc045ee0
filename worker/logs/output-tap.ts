import { join } from 'node:path';
import { LIMITS } from '../../shared/limits.ts';
import type { Io } from '../io.ts';

/** Some of what a task wrote. */
export interface OutputPiece {
  readonly stderr: boolean;
  readonly bytes: Uint8Array;
}

const STREAMS = ['out', 'err'] as const;
const CHUNK_BYTES = 64 << 10;

/**
 * Reads a task's output files along with the log, from where they end now. Who is slower than the task
 * by more than a window misses what lies between, and is told so; the log has all of it.
 */
export class OutputTap {
  readonly #io: Io;
  readonly #directory: string;
  readonly #forget: () => void;
  readonly #places: { out: number; err: number };
  #queue: OutputPiece[] = [];
  #queuedBytes = 0;
  #skippedBytes = 0;
  #ended: boolean;
  #wake: () => void = () => undefined;

  constructor(io: Io, directory: string, ended: boolean, forget: () => void) {
    this.#io = io;
    this.#directory = directory;
    this.#ended = ended;
    this.#forget = forget;
    this.#places = { out: this.#size('out'), err: this.#size('err') };
  }
  /** Takes what is new; called before anything of it can be gone. */
  look(): void {
    for (const stream of STREAMS) this.#take(stream);
    if (this.#queue.length > 0) this.#wake();
  }
  /** The task has ended, and `look` has seen its last output. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }
  close(): void {
    this.#forget();
    this.end();
  }
  async *pieces(signal: AbortSignal): AsyncIterable<OutputPiece> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const queue = this.#queue;
      this.#queue = [];
      this.#queuedBytes = 0;
      yield* queue;
      yield* this.#noteSkipped();
      if (this.#queue.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (signal.aborted) resolve();
      });
    }
  }
  #size(stream: (typeof STREAMS)[number]): number {
    return this.#io.stat(join(this.#directory, stream))?.size ?? 0;
  }
  #take(stream: (typeof STREAMS)[number]): void {
    const size = this.#size(stream);
    // Emptied meanwhile: what is there is new.
    let from = size < this.#places[stream] ? 0 : this.#places[stream];
    while (from < size) {
      const left = LIMITS.streamWindowBytes - this.#queuedBytes;
      if (left <= 0) {
        this.#skippedBytes += size - from;
        from = size;
        break;
      }
      const length = Math.min(size - from, CHUNK_BYTES, left);
      const bytes = this.#io.readAt(join(this.#directory, stream), from, length);
      if (bytes.length === 0) break;
      from += bytes.length;
      this.#queue.push({ stderr: stream === 'err', bytes });
      this.#queuedBytes += bytes.length;
    }
    this.#places[stream] = from;
  }
  *#noteSkipped(): Iterable<OutputPiece> {
    if (this.#skippedBytes === 0) return;
    const note = `[swarm] ${this.#skippedBytes} bytes of output were left out here: see the log\n`;
    this.#skippedBytes = 0;
    yield { stderr: true, bytes: Buffer.from(note) };
  }
}
