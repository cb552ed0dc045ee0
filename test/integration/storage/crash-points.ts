import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fault } from './fault.ts';
import { fileSizes, type WritePoint } from './recorded-disk.ts';

/** States between the two of a write point; `most`: how many of each file are looked at. */
export async function tornStates(point: WritePoint, most = Infinity): Promise<Fault[]> {
  const before = await fileSizes(point.before);
  const faults: Fault[] = [];
  for (const [file, size] of await fileSizes(point.after)) {
    if (point.kind === 'file') {
      faults.push(...(await tornFile(point, file, most)));
    } else if (/\d+\.log$/.test(file)) {
      const positions = spread((before.get(file) ?? 0) + 1, size - 1, most);
      for (const bytes of positions) faults.push({ kind: 'cut', file, bytes });
    }
  }
  return faults;
}

/** A file that is written in place, of which only the beginning reached the disk. */
async function tornFile(point: WritePoint, file: string, most: number): Promise<Fault[]> {
  const fresh = await readFile(join(point.after, file));
  const old = await readFile(join(point.before, file)).catch(() => Buffer.alloc(0));
  if (fresh.equals(old)) return [];
  return spread(1, fresh.length - 1, most).map((bytes) => {
    if (old.length === 0) return { kind: 'cut', file, bytes };
    return { kind: 'torn', file, bytes: fresh.subarray(0, bytes).toString('base64') };
  });
}

/** At most `most` numbers of [from, to] at equal distances, both ends among them. */
function spread(from: number, to: number, most: number): number[] {
  const count = Math.min(most, to - from + 1);
  if (count <= 1) return count === 1 ? [from] : [];
  const step = (to - from) / (count - 1);
  return Array.from({ length: count }, (_, n) => from + Math.round(n * step));
}
