import { invalid } from './invalid.ts';

/** A whole number of [min, max]. */
export function parseWhole(flag: string, text: string, min = 0, max = 0xffff_ffff): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    const range = max === 0xffff_ffff ? `of at least ${min}` : `from ${min} to ${max}`;
    throw invalid(flag, text, `a whole number ${range}`);
  }
  return value;
}

/** A fraction of 0 to 1. */
export function parseRatio(flag: string, text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw invalid(flag, text, 'a number from 0 to 1');
  return value;
}

/** Processors in billionths: "0.5" is 500,000,000. */
export function parseNanoCpus(flag: string, text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  const nano = Math.round(value * 1e9);
  if (!Number.isSafeInteger(nano)) throw invalid(flag, text, 'a number of processors such as 0.5');
  return nano;
}

/** Go's booleans: true, false, 1, 0, t, f. */
export function parseBoolean(flag: string, text: string): boolean {
  if (/^(true|1|t)$/i.test(text)) return true;
  if (/^(false|0|f)$/i.test(text)) return false;
  throw invalid(flag, text, 'true or false');
}
