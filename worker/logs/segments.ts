import { join } from 'node:path';
import type { LogBounds } from '../../shared/log-options.ts';
import type { Io } from '../io.ts';

/** A place in a task's log. */
export interface LogPlace {
  readonly segment: number;
  readonly offset: number;
}

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `log.${segment}`);
}

/** Where the writer of a log keeps its place. */
export function cursorPath(directory: string): string {
  return join(directory, 'cursor');
}

/** Bytes of a log before a segment, those that are not there any more included. */
export function bytesBefore(io: Io, directory: string, segment: number): number {
  const earlier = listSegments(io, directory).filter((number) => number < segment);
  const sizes = earlier.map((number) => io.stat(segmentPath(directory, number))?.size ?? 0);
  return sizes.reduce((sum, size) => sum + size, bytesGone(io, directory));
}

function bytesGone(io: Io, directory: string): number {
  try {
    const text = io.read(cursorPath(directory))?.toString('utf8') ?? '{}';
    return (JSON.parse(text) as { readonly gone?: number }).gone ?? 0;
  } catch {
    return 0;
  }
}

/** Numbers of the segments that are there, oldest first. */
export function listSegments(io: Io, directory: string): readonly number[] {
  return io
    .list(directory)
    .map((name) => /^log\.(\d+)$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

/** Adds to the newest segment; a full one is followed by a new one, and the oldest goes. */
export class SegmentWriter {
  readonly #io: Io;
  readonly #directory: string;
  readonly #bounds: LogBounds;
  #place: LogPlace;
  #gone: number;
  #torn = false;

  /**
   * `place`: where the last saved cursor stood; what lies behind it was never acknowledged. `gone`: bytes
   * of segments that have gone before.
   */
  constructor(io: Io, directory: string, bounds: LogBounds, place: LogPlace, gone: number) {
    this.#bounds = bounds;
    this.#gone = gone;
    this.#io = io;
    this.#directory = directory;
    this.#place = place;
    for (const segment of listSegments(io, directory)) {
      if (segment > place.segment) io.unlink(segmentPath(directory, segment));
    }
    const path = segmentPath(directory, place.segment);
    const size = io.stat(path)?.size ?? 0;
    if (size > place.offset) io.truncate(path, place.offset);
    else this.#place = { segment: place.segment, offset: size };
  }
  get place(): LogPlace {
    return this.#place;
  }
  /** Bytes of segments that are not there any more. */
  get gone(): number {
    return this.#gone;
  }
  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const { segment, offset } = this.#place;
    const path = segmentPath(this.#directory, segment);
    // What a full disk took only a part of is taken back.
    if (this.#torn) this.#io.truncate(path, offset);
    this.#torn = true;
    this.#io.append(path, bytes);
    this.#torn = false;
    this.#place = { segment, offset: offset + bytes.length };
    if (this.#place.offset < this.#bounds.fileBytes) return;
    this.#place = { segment: segment + 1, offset: 0 };
    for (const old of listSegments(this.#io, this.#directory)) {
      if (old > segment + 1 - this.#bounds.files) continue;
      const oldest = segmentPath(this.#directory, old);
      this.#gone += this.#io.stat(oldest)?.size ?? 0;
      this.#io.unlink(oldest);
    }
  }
}
