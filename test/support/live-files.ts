import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Every file under `dir`, where daemons write meanwhile: what vanishes is passed over. */
export function* liveFiles(
  dir: string,
): Generator<{ readonly path: string; readonly bytes: Buffer }> {
  for (const entry of unlessGone<Dirent[]>(() => readdirSync(dir, { withFileTypes: true })) ?? []) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* liveFiles(path);
    const bytes = entry.isFile() ? unlessGone(() => readFileSync(path)) : undefined;
    if (bytes !== undefined) yield { path, bytes };
  }
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
