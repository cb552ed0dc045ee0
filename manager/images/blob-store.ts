import { createHash, type Hash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type Descriptor, isDigest } from '../../shared/distribution/documents.ts';
import type { BlobStream } from '../../shared/distribution/source.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { requiredBytes, systemDisk } from '../database/index.ts';

export type BlobSize = Pick<Descriptor, 'digest' | 'size'>;
/** Where a blob comes from; it may begin before `offset` where it can't do better. */
export type BlobOrigin = (offset: number) => Promise<BlobStream>;

/**
 * Parts of images on this manager's disk, `sha256/HEX` each, in a folder of their own beside the state.
 * A file with that name is whole, checked and synced; `HEX.part` is one that is being written, and goes
 * on where it was after whatever happened.
 */
export class BlobStore {
  readonly #directory: string;
  readonly #writing = new Map<string, Promise<void>>();

  constructor(directory: string) {
    this.#directory = join(directory, 'sha256');
  }
  async has(digest: string): Promise<boolean> {
    return (await this.size(digest)) !== undefined;
  }
  /** Undefined: it is not here. */
  async size(digest: string): Promise<number | undefined> {
    const found = await fs.stat(this.#path(digest)).catch(() => undefined);
    return found?.size;
  }
  /** Those that are not here. What is here is left alone by `sweep` for a while. */
  async missing(blobs: readonly BlobSize[], nowWallMs: number): Promise<readonly BlobSize[]> {
    const missing: BlobSize[] = [];
    for (const blob of blobs) {
      const path = this.#path(blob.digest);
      const at = nowWallMs / 1_000;
      const touched = fs.utimes(path, at, at).then(
        () => true,
        () => false,
      );
      if (!(await touched)) missing.push(blob);
    }
    return missing;
  }
  /** A small one as a whole. */
  document({ digest }: Pick<Descriptor, 'digest'>): Promise<Uint8Array> {
    return fs.readFile(this.#path(digest));
  }
  async *read(digest: string, offset: number): AsyncIterable<Uint8Array> {
    const file = await fs.open(this.#path(digest), 'r');
    try {
      for (let at = offset; ; ) {
        const piece = Buffer.allocUnsafe(LIMITS.blobChunkBytes);
        const { bytesRead } = await file.read(piece, 0, piece.length, at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }
  /**
   * Resolves when the blob is whole on the disk, whoever writes it. Rejects with INVALID_ARGUMENT for
   * other bytes than its digest says, READ_ONLY where the disk is full.
   */
  async write(blob: BlobSize, origin: BlobOrigin, onBytes: (count: number) => void): Promise<void> {
    if (!isDigest(blob.digest)) throw wrong(`${blob.digest.slice(0, 100)} is no digest`);
    while (!(await this.has(blob.digest))) {
      const other = this.#writing.get(blob.digest);
      if (other === undefined) {
        const writing = this.#write(blob, origin, onBytes);
        this.#writing.set(blob.digest, writing);
        await writing.finally(() => this.#writing.delete(blob.digest));
        return;
      }
      await other.catch(() => undefined);
    }
  }
  /** Deletes what `isNeeded` does not name and nobody has asked for since `beforeWallMs`. */
  async sweep(isNeeded: (digest: string) => boolean, beforeWallMs: number): Promise<void> {
    for (const name of await systemDisk.list(this.#directory)) {
      const digest = `sha256:${name.replace(/\.part$/, '')}`;
      if (this.#writing.has(digest)) continue;
      if (!name.endsWith('.part') && isNeeded(digest)) continue;
      const path = join(this.#directory, name);
      const found = await fs.stat(path).catch(() => undefined);
      if (found && found.mtimeMs < beforeWallMs) await fs.rm(path, { force: true });
    }
  }

  async #write(
    blob: BlobSize,
    origin: BlobOrigin,
    onBytes: (count: number) => void,
  ): Promise<void> {
    await systemDisk.makeDirectory(this.#directory);
    await this.#refuseFullDisk(blob.size);
    const path = this.#path(blob.digest);
    const file = await fs.open(`${path}.part`, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    try {
      const digest = await fill(file, blob, origin, onBytes);
      if (digest !== blob.digest) {
        await fs.rm(`${path}.part`, { force: true });
        throw wrong(`other bytes came for ${blob.digest} than its digest says`);
      }
      await file.sync();
    } catch (error) {
      throw asFull(error) ?? error;
    } finally {
      await file.close();
    }
    await fs.rename(`${path}.part`, path);
    await systemDisk.syncDirectory(this.#directory);
  }
  /** Images never take the room that the state of the cluster needs. */
  async #refuseFullDisk(bytes: number): Promise<void> {
    const { freeBytes, totalBytes } = await systemDisk.space(this.#directory);
    if (freeBytes - bytes >= 2 * requiredBytes(totalBytes)) return;
    throw full(`${bytes} bytes more do not fit`);
  }
  #path(digest: string): string {
    return join(this.#directory, isDigest(digest) ? digest.slice('sha256:'.length) : 'none');
  }
}

/** Writes what is missing behind what is there. Returns the digest of the whole. */
async function fill(
  file: fs.FileHandle,
  blob: BlobSize,
  origin: BlobOrigin,
  onBytes: (count: number) => void,
): Promise<string> {
  let { size: at } = await file.stat();
  if (at > blob.size) {
    at = 0;
    await file.truncate(0);
  }
  let hash = at > 0 ? await hashOf(file, at) : createHash('sha256');
  if (at < blob.size) {
    const stream = await origin(at);
    if (stream.offset !== at) {
      at = stream.offset;
      hash = createHash('sha256');
      await file.truncate(at);
    } else onBytes(at);
    for await (const bytes of stream.bytes) {
      if (at + bytes.length > blob.size) throw wrong(`${blob.digest} is longer than was said`);
      hash.update(bytes);
      await writeWhole(file, bytes, at);
      at += bytes.length;
      onBytes(bytes.length);
    }
  }
  if (at === blob.size) return `sha256:${hash.digest('hex')}`;
  throw new SwarmError('DROPPED', `only ${at} of ${blob.size} bytes of ${blob.digest} came`);
}

/** A disk that becomes full takes a beginning without an error; only the next write tells. */
async function writeWhole(file: fs.FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

async function hashOf(file: fs.FileHandle, length: number): Promise<Hash> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(LIMITS.blobChunkBytes);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, length - at), at);
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash;
}

function wrong(why: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', why, { advice: 'Load the image again.' });
}

function asFull(error: unknown): SwarmError | undefined {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOSPC' || code === 'EDQUOT' ? full('it is full') : undefined;
}

function full(why: string): SwarmError {
  return new SwarmError('READ_ONLY', `the disk of this manager has no room for the image: ${why}`, {
    advice: 'Free disk space, or remove images: swarm image prune.',
  });
}
