import { LIMITS } from '../../shared/limits.ts';
import type { Io } from '../io.ts';

const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;

/** A piece of output: a line without its end, or a part of one too long. */
export interface Piece {
  readonly text: Uint8Array;
  readonly partial: boolean;
}

/**
 * Cuts output into lines. What has no end yet stays behind, unless it is too long or `last`.
 * `consumed` counts the bytes that the pieces stand for.
 */
function cutLines(
  bytes: Uint8Array,
  last: boolean,
): { readonly pieces: readonly Piece[]; readonly consumed: number } {
  const pieces: Piece[] = [];
  const max = LIMITS.logLineBytesMax;
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(NEWLINE, at);
    const stop = end < 0 ? bytes.length : end;
    if (stop - at > max) {
      pieces.push({ text: bytes.subarray(at, at + max), partial: true });
      at += max;
      continue;
    }
    if (end < 0 && !last) break;
    pieces.push({ text: bytes.subarray(at, stop), partial: false });
    at = stop + 1;
  }
  return { pieces, consumed: Math.min(at, bytes.length) };
}

export interface SpoolDrain {
  readonly pieces: readonly Piece[];
  /** Bytes that nobody will ever read: there was too much. */
  readonly dropped: number;
  readonly offset: number;
  /** There is more to take at once. */
  readonly more: boolean;
}

/**
 * Reads a task's output file from `offset`, at most one chunk. Of a backlog beyond the limit only
 * the newest third is kept: a task is never slowed down by its own log.
 */
export function drainSpool(io: Io, path: string, offset: number, last: boolean): SpoolDrain {
  const size = io.stat(path)?.size ?? 0;
  let from = size < offset ? 0 : offset;
  let dropped = 0;
  if (size - from > LIMITS.logBacklogBytesMax) {
    const keepFrom = size - Math.floor(LIMITS.logBacklogBytesMax / LIMITS.logFilesMax);
    // From the byte before: what follows a line end there is a whole line.
    const next = io.readAt(path, keepFrom - 1, CHUNK_BYTES).indexOf(NEWLINE);
    const begin = next < 0 ? keepFrom : keepFrom + next;
    dropped = begin - from;
    from = begin;
  }
  if (size <= from) return { pieces: [], dropped, offset: from, more: false };
  const bytes = io.readAt(path, from, Math.min(CHUNK_BYTES, size - from));
  const atEnd = from + bytes.length >= size;
  const { pieces, consumed } = cutLines(bytes, last && atEnd);
  const end = from + consumed;
  return { pieces, dropped, offset: end, more: !atEnd && consumed > 0 };
}
