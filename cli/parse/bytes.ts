import { invalid } from './invalid.ts';

const FACTOR: { readonly [unit: string]: number } = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};
const PATTERN = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i;

/** Docker's sizes: 10m, 1g, 512KiB; a bare number is bytes. Units are powers of 1024. */
export function parseBytes(flag: string, text: string): number {
  const match = PATTERN.exec(text.trim());
  const bytes = match
    ? Math.round(Number(match[1]) * FACTOR[match[2]!.toLowerCase()]!)
    : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw invalid(flag, text, 'a size such as 64m or 1.5g');
  return bytes;
}

/** For people: 64MiB, 1.5GiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(value < 10 ? 2 : 1))}${units[unit]}`;
}
