import { invalid } from './invalid.ts';

const UNIT_MS: { readonly [unit: string]: number } = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/y;

/** Longest duration that a field of 32 bits of milliseconds holds (49 days). */
const UINT32_MAX = 0xffff_ffff;

/** Go's durations ("1h2m3s500ms", "1.5s", "0") in whole milliseconds; above 0 it is at least 1. */
export function parseDurationMs(flag: string, text: string): number {
  const totalMs = read(text);
  if (totalMs === undefined) throw invalid(flag, text, 'a duration such as 500ms, 10s or 1m30s');
  return totalMs > 0 && totalMs < 1 ? 1 : Math.round(totalMs);
}

/** The same for fields of 32 bits. */
export function parseShortDurationMs(flag: string, text: string): number {
  const ms = parseDurationMs(flag, text);
  if (ms > UINT32_MAX) throw invalid(flag, text, 'at most 1193h');
  return ms;
}

function read(text: string): number | undefined {
  if (text === '0') return 0;
  if (text === '') return undefined;
  let totalMs = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    totalMs += Number(part[1]) * UNIT_MS[part[2]!]!;
  }
  return totalMs;
}

/** As people and `parseDurationMs` read it: 90000 is "1m30s". */
export function formatDurationMs(ms: number): string {
  if (ms === 0) return '0s';
  if (ms < 1_000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1_000;
  const parts = [hours > 0 ? `${hours}h` : '', minutes > 0 ? `${minutes}m` : ''];
  if (seconds > 0) parts.push(`${Number(seconds.toFixed(3))}s`);
  return parts.join('');
}
