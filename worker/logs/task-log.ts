import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { LogBounds } from '../../shared/log-options.ts';
import type { Io } from '../io.ts';
import { formatLine, Stamper } from './log-line.ts';
import { OutputTap } from './output-tap.ts';
import { cursorPath, type LogPlace, listSegments, SegmentWriter } from './segments.ts';
import { drainSpool } from './spool.ts';
import { mayTruncate, punch, type Trimming } from './trim.ts';

type Stream = 'out' | 'err';
const STREAMS = ['out', 'err'] as const;

interface SpoolPlace {
  /** Everything before it is in the segments. */
  readonly offset: number;
  /** Everything before it is off the disk. */
  readonly trimmed: number;
  /** Was about to be emptied at this size. */
  readonly emptying: boolean;
}

/** Saved after each append, so that a new daemon neither loses nor repeats a line. */
interface Cursor {
  readonly log: LogPlace;
  /** Bytes of segments that went to make room; absent: none. */
  readonly gone?: number;
  readonly out: SpoolPlace;
  readonly err: SpoolPlace;
}

const START: SpoolPlace = { offset: 0, trimmed: 0, emptying: false };

/** Moves a task's output from its two files into the log's segments. */
export class TaskLog {
  readonly directory: string;
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #stamper = new Stamper();
  readonly #bounds: LogBounds;
  readonly #segments: SegmentWriter;
  readonly #waiters = new Set<() => void>();
  readonly #taps = new Set<OutputTap>();
  readonly #places: { out: SpoolPlace; err: SpoolPlace };
  #trimming: Trimming = 'punch';
  #trimBusy = false;
  #ended = false;

  constructor(io: Io, clock: Clock, directory: string, bounds: LogBounds) {
    this.#io = io;
    this.#clock = clock;
    this.#bounds = bounds;
    this.directory = directory;
    const cursor = this.#load();
    this.#segments = new SegmentWriter(io, directory, bounds, cursor.log, cursor.gone ?? 0);
    this.#places = { out: this.#resume('out', cursor.out), err: this.#resume('err', cursor.err) };
  }
  get ended(): boolean {
    return this.#ended;
  }
  /** What it writes from now on, for somebody who reads along. Who opens closes. */
  tap(): OutputTap {
    const tap = new OutputTap(this.#io, this.directory, this.#ended, () => this.#taps.delete(tap));
    this.#taps.add(tap);
    return tap;
  }
  /** Takes what the task has written since. Returns true when there is more at once. */
  drain(): boolean {
    // First: what is taken may be off the disk afterwards.
    for (const tap of this.#taps) tap.look();
    let more = false;
    let changed = false;
    for (const stream of STREAMS) {
      const result = this.#drainStream(stream);
      more ||= result.more;
      changed ||= result.changed;
    }
    if (changed) {
      this.#save();
      this.#wake();
    }
    this.#trim();
    return more;
  }
  /** The task has ended: its last, perhaps unfinished lines are taken and the files go. */
  finish(): void {
    this.#ended = true;
    while (this.drain());
    for (const tap of this.#taps) tap.end();
    for (const stream of STREAMS) this.#io.unlink(join(this.directory, stream));
    this.#places.out = START;
    this.#places.err = START;
    this.#save();
    this.#wake();
  }
  /** Resolves when there is something new, or nothing will ever be. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }
  get followed(): boolean {
    return this.#waiters.size > 0 || this.#taps.size > 0;
  }
  #wake(): void {
    for (const done of [...this.#waiters]) done();
  }
  #drainStream(stream: Stream): { more: boolean; changed: boolean } {
    const place = this.#places[stream];
    const path = join(this.directory, stream);
    const drained = drainSpool(this.#io, path, place.offset, this.#ended);
    if (drained.offset === place.offset && drained.dropped === 0) return NOTHING;
    const stderr = stream === 'err';
    const nowMs = this.#clock.wallMs();
    const lines = drained.pieces.map(({ text, partial }) =>
      formatLine(this.#stamper.next(nowMs), stderr, partial, text),
    );
    if (drained.dropped > 0) {
      const note = `[swarm] ${drained.dropped} bytes of output were dropped: more was written than the log keeps`;
      lines.unshift(formatLine(this.#stamper.next(nowMs), stderr, false, Buffer.from(note)));
    }
    for (const piece of piecesOf(lines, this.#bounds.fileBytes)) this.#segments.append(piece);
    const trimmed = drained.offset < place.offset ? 0 : place.trimmed;
    this.#places[stream] = { offset: drained.offset, trimmed, emptying: false };
    return { more: drained.more, changed: true };
  }
  #trim(): void {
    if (this.#trimBusy || this.#ended) return;
    for (const stream of STREAMS) {
      if (this.#trimming === 'punch') void this.#punch(stream);
      else this.#empty(stream);
    }
  }
  async #punch(stream: Stream): Promise<void> {
    const { offset, trimmed } = this.#places[stream];
    if (offset - trimmed < TRIM_STEP_BYTES) return;
    this.#trimBusy = true;
    const reached = await punch(this.#io, join(this.directory, stream), trimmed, offset);
    this.#trimBusy = false;
    if (reached < 0) this.#trimming = 'truncate';
    else this.#places[stream] = { ...this.#places[stream], trimmed: reached };
  }
  #empty(stream: Stream): void {
    const path = join(this.directory, stream);
    const { offset } = this.#places[stream];
    if (!mayTruncate(this.#io, this.#clock, path, offset)) return;
    this.#places[stream] = { offset, trimmed: 0, emptying: true };
    this.#save();
    this.#io.truncate(path, 0);
    this.#places[stream] = START;
    this.#save();
  }
  #resume(stream: Stream, place: SpoolPlace): SpoolPlace {
    const size = this.#io.stat(join(this.directory, stream))?.size ?? 0;
    // Emptied, and written to since: what is there is new.
    return place.emptying && size < place.offset ? START : { ...place, emptying: false };
  }
  #load(): Cursor {
    try {
      const text = this.#io.read(cursorPath(this.directory))?.toString('utf8');
      if (text !== undefined) return JSON.parse(text) as Cursor;
    } catch {
      // Half written at a power cut: a new segment, and the output from its beginning.
    }
    const newest = listSegments(this.#io, this.directory).at(-1) ?? -1;
    return { log: { segment: newest + 1, offset: 0 }, out: START, err: START };
  }
  #save(): void {
    const { place, gone } = this.#segments;
    const cursor: Cursor = { log: place, gone, ...this.#places };
    const path = cursorPath(this.directory);
    this.#io.write(`${path}.tmp`, JSON.stringify(cursor));
    this.#io.rename(`${path}.tmp`, path);
  }
}

/** Whole lines, together as long as a file may be. */
function* piecesOf(lines: readonly Uint8Array[], bytes: number): Generator<Uint8Array> {
  let from = 0;
  let size = 0;
  for (const [at, line] of lines.entries()) {
    size += line.length;
    if (size < bytes) continue;
    yield Buffer.concat(lines.slice(from, at + 1));
    from = at + 1;
    size = 0;
  }
  if (from < lines.length) yield Buffer.concat(lines.slice(from));
}

const NOTHING = { more: false, changed: false };
const TRIM_STEP_BYTES = 4 << 20;
