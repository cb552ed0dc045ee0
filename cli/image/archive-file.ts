import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { SwarmError } from '../../shared/errors.ts';

/** An archive whose parts can be read in any order. */
export interface ArchiveFile {
  readonly path: string;
  /** Deletes what was written for this alone. */
  remove(): Promise<void>;
}

/**
 * A file or directory as it is; what comes as a stream or is compressed (gzip) is written to a file of
 * its own first. Rejects with an AbortError when `signal` aborts.
 */
export async function archiveFile(
  from: string | Readable,
  signal: AbortSignal,
): Promise<ArchiveFile> {
  if (typeof from === 'string' && !(await isGzip(from))) {
    return { path: from, remove: async () => undefined };
  }
  const dir = await mkdtemp(join(tmpdir(), 'swarm-image-'));
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    const came = typeof from === 'string' ? from : join(dir, 'archive');
    if (typeof from !== 'string') await pipeline(from, fileOf(came), { signal });
    if (!(await isGzip(came))) return { path: came, remove };
    const path = join(dir, 'archive.tar');
    await pipeline(createReadStream(came), createGunzip(), fileOf(path), { signal });
    if (came !== from) await rm(came);
    return { path, remove };
  } catch (error) {
    await remove();
    throw explained(error);
  }
}

function fileOf(path: string) {
  return createWriteStream(path, { mode: 0o600 });
}

async function isGzip(path: string): Promise<boolean> {
  if (!(await stat(path)).isFile()) return false;
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await file.close();
  }
}

function explained(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new SwarmError('RUNTIME', `There is no room for the archive in ${tmpdir()}.`, {
      cause: error,
      advice: 'Free disk space there, or set TMPDIR to another directory.',
    });
  if (code.startsWith('Z_'))
    return new ImageError('IMAGE_INVALID', "can't read the image: its compression is damaged");
  return error;
}
