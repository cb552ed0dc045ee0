import { quantity } from './quantity.ts';

const STEPS: readonly (readonly [number, string])[] = [
  [365 * 86_400, 'year'],
  [30 * 86_400, 'month'],
  [7 * 86_400, 'week'],
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
];

/** "12 seconds ago", "3 minutes ago"; a moment in the future is "just now". */
export function relativeTime(atMs: number, nowMs: number): string {
  if (atMs <= 0) return 'unknown';
  const seconds = Math.floor((nowMs - atMs) / 1_000);
  if (seconds < 1) return 'just now';
  return `${durationWords(seconds)} ago`;
}

function durationWords(seconds: number): string {
  for (const [size, unit] of STEPS) {
    const count = Math.floor(seconds / size);
    // As in Docker: the next unit begins at two of it, but for hours and minutes.
    if (count >= (size > 3_600 ? 2 : 1)) return quantity(count, unit);
  }
  return quantity(seconds, 'second');
}

/** Time zone of the caller, as `2026-01-31T12:00:00.123+01:00`. */
export function isoLocal(atMs: number): string {
  const date = new Date(atMs);
  const offset = -date.getTimezoneOffset();
  const two = (value: number) => String(Math.floor(Math.abs(value))).padStart(2, '0');
  const zone =
    offset === 0 ? 'Z' : `${offset < 0 ? '-' : '+'}${two(offset / 60)}:${two(offset % 60)}`;
  return `${new Date(atMs + offset * 60_000).toISOString().slice(0, -1)}${zone}`;
}
