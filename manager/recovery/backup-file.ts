import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';

/**
 * Writes a file of mode 0600 piece by piece: there wholly, or not, also after a power cut; what
 * exists is not touched (NAME_CONFLICT). Returns what `pieces` returned.
 */
export async function writeNewFile<R>(
  path: string,
  pieces: AsyncGenerator<Uint8Array, R>,
): Promise<R> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  try {
    const result = await fill(fresh, pieces);
    // A link, unlike a rename, never takes another file's place.
    await link(fresh, path);
    await syncDirectory(dirname(path));
    return result;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new SwarmError('NAME_CONFLICT', `${path} exists already.`, { cause });
  } finally {
    await rm(fresh, { force: true });
  }
}

async function fill<R>(path: string, pieces: AsyncGenerator<Uint8Array, R>): Promise<R> {
  const file = await open(path, 'wx', 0o600);
  try {
    for (;;) {
      const { done, value } = await pieces.next();
      if (done === true) {
        await file.sync();
        return value;
      }
      await file.writeFile(value);
    }
  } finally {
    await file.close();
    await pieces.return(undefined as R);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
