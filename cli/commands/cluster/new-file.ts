import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, SwarmError } from '../../../shared/errors.ts';

/** A file of mode 0600 that is there wholly or not at all, and never takes another's place. */
export class NewFile {
  readonly path: string;
  readonly #fresh: string;
  #file: Awaited<ReturnType<typeof open>> | undefined;

  /** Nothing is made before `open`. */
  constructor(path: string) {
    this.path = path;
    this.#fresh = `${path}.new`;
  }

  /** Rejects with NAME_CONFLICT when there is such a file, INVALID_ARGUMENT when none can be made. */
  async open(): Promise<void> {
    if (await exists(this.path)) throw conflict(this.path);
    try {
      await rm(this.#fresh, { force: true });
      this.#file = await open(this.#fresh, 'wx+', 0o600);
    } catch (cause) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `${this.path} cannot be written: ${messageOf(cause)}.`,
        {
          cause,
          advice: 'Give the path of a file in a directory that you may write to.',
        },
      );
    }
  }
  async write(bytes: Uint8Array): Promise<void> {
    await this.#file!.writeFile(bytes);
  }
  /** What is on the disk by now, from the start. */
  async *readBack(): AsyncGenerator<Uint8Array, void> {
    await this.#file!.sync();
    const piece = Buffer.alloc(1 << 20);
    for (let at = 0; ; ) {
      const { bytesRead } = await this.#file!.read(piece, 0, piece.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  }
  /** The file has its name, also after a power cut. */
  async keep(): Promise<void> {
    await this.#file!.sync();
    await link(this.#fresh, this.path).catch((cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EEXIST' ? conflict(this.path) : cause;
    });
    const directory = await open(dirname(this.path), 'r');
    await directory.sync().finally(() => directory.close());
  }
  /** To be called at every end; what was kept stays. */
  async close(): Promise<void> {
    await this.#file?.close();
    if (this.#file !== undefined) await rm(this.#fresh, { force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return open(path, 'r').then(
    (file) => file.close().then(() => true),
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT' && error.code !== 'ENOTDIR',
  );
}

function conflict(path: string): SwarmError {
  return new SwarmError('NAME_CONFLICT', `${path} exists already: nothing is overwritten.`, {
    advice: 'Choose another name, or move the file away.',
  });
}
