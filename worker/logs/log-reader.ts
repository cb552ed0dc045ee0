import { LogRecord, type LogRequest } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Io } from '../io.ts';
import { parseLine } from './log-line.ts';
import { bytesBefore, type LogPlace, listSegments, segmentPath } from './segments.ts';

const CHUNK_BYTES = 256 << 10;
const NEWLINE = 10;
const KEPT_TEXT = `${(LIMITS.logFileBytesMax * LIMITS.logFilesMax) >> 20} MB`;

export interface LogSource {
  readonly io: Io;
  readonly directory: string;
  readonly taskId: string;
  readonly nodeId: string;
  /** Undefined: nothing is added any more. */
  readonly live:
    | { readonly ended: boolean; changed(signal: AbortSignal): Promise<void> }
    | undefined;
}

/**
 * `tail`: 0 is everything, N the last N records, negative none of the past. A reader keeps its own
 * place in the files, so a slow one holds nobody up; what is rotated away meanwhile it never sees.
 */
export async function* readLog(
  source: LogSource,
  request: LogRequest,
  signal: AbortSignal,
): AsyncIterable<LogRecord> {
  let { place, at } = startPlace(source, request);
  while (!signal.aborted) {
    // Asked for before the look: what comes between the two is seen in the next round.
    const ended = source.live?.ended ?? true;
    const begin = place.offset > 0 ? at : bytesBefore(source.io, source.directory, place.segment);
    const missing = begin - at;
    const { records, next } = readChunk(source, place);
    const [first] = records;
    if (missing > 0 && first !== undefined && wanted(first, request))
      yield goneNote(first, missing);
    at = begin + (next.place.segment === place.segment ? next.place.offset - place.offset : 0);
    place = next.place;
    for (const record of records) {
      if (isPast(record, request)) return;
      if (wanted(record, request)) yield record;
      if (signal.aborted) return;
    }
    if (next.more) continue;
    if (!request.follow || ended || !source.live) return;
    await source.live.changed(signal);
  }
}

/** Stands before the first record that is left. */
function goneNote(first: LogRecord, bytes: number): LogRecord {
  const text = `[swarm] ${bytes} bytes of the log before this are gone: it keeps the newest ${KEPT_TEXT}`;
  return LogRecord.with(first, { line: Buffer.from(text), partial: false });
}

/** The last lines of a log, for people. */
export function lastLines(source: LogSource, count: number): readonly string[] {
  const lines: string[] = [];
  for (const record of recordsBackwards(source)) {
    if (lines.length >= count) break;
    lines.unshift(Buffer.from(record.record.line).toString('utf8'));
  }
  return lines;
}

function wanted(record: LogRecord, request: LogRequest): boolean {
  if (record.atWallMs < request.sinceWallMs) return false;
  const both = request.stdout === request.stderr;
  return both || (record.stderr ? request.stderr : request.stdout);
}

function isPast(record: LogRecord, request: LogRequest): boolean {
  return request.untilWallMs > 0 && record.atWallMs > request.untilWallMs;
}

/** `at`: how many bytes of the whole log its reader has behind it. */
function startPlace(source: LogSource, request: LogRequest): { place: LogPlace; at: number } {
  const segments = listSegments(source.io, source.directory);
  const first = { segment: segments[0] ?? 0, offset: 0 };
  if (request.tail === 0) return { place: first, at: 0 };
  const newest = segments.at(-1) ?? 0;
  const size = source.io.stat(segmentPath(source.directory, newest))?.size ?? 0;
  let place: LogPlace = { segment: newest, offset: size };
  let left = request.tail;
  for (const { record, at } of recordsBackwards(source)) {
    if (left <= 0) break;
    if (isPast(record, request) || !wanted(record, request)) continue;
    place = at;
    left--;
  }
  const before = bytesBefore(source.io, source.directory, place.segment);
  const isAll = left > 0 && place.segment === first.segment && place.offset === 0;
  return { place, at: isAll ? 0 : before + place.offset };
}

function* recordsBackwards(source: LogSource): Iterable<{ record: LogRecord; at: LogPlace }> {
  for (const segment of [...listSegments(source.io, source.directory)].reverse()) {
    const path = segmentPath(source.directory, segment);
    const bytes = source.io.read(path) ?? Buffer.alloc(0);
    let end = bytes.lastIndexOf(NEWLINE);
    while (end >= 0) {
      const begin = end === 0 ? 0 : bytes.lastIndexOf(NEWLINE, end - 1) + 1;
      const record = parseLine(source.taskId, source.nodeId, bytes.subarray(begin, end));
      if (record) yield { record, at: { segment, offset: begin } };
      end = begin - 1;
    }
  }
}

function readChunk(
  source: LogSource,
  place: LogPlace,
): { records: readonly LogRecord[]; next: { place: LogPlace; more: boolean } } {
  const path = segmentPath(source.directory, place.segment);
  const size = source.io.stat(path)?.size ?? 0;
  if (size <= place.offset) {
    const following = listSegments(source.io, source.directory).find((n) => n > place.segment);
    return following === undefined
      ? { records: [], next: { place, more: false } }
      : { records: [], next: { place: { segment: following, offset: 0 }, more: true } };
  }
  const bytes = source.io.readAt(path, place.offset, Math.min(CHUNK_BYTES, size - place.offset));
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  const records: LogRecord[] = [];
  for (let at = 0; at < end; ) {
    const stop = bytes.indexOf(NEWLINE, at);
    const record = parseLine(source.taskId, source.nodeId, bytes.subarray(at, stop));
    if (record) records.push(record);
    at = stop + 1;
  }
  const next = { segment: place.segment, offset: place.offset + end };
  return { records, next: { place: next, more: end > 0 } };
}
