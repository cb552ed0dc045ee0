import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';

const { O_RDWR, O_RDONLY, O_NONBLOCK } = constants;
const MKFIFO_MS = 5_000;

/** Makes named pipes that are not there yet. */
export async function makeFifos(io: Io, paths: readonly string[]): Promise<void> {
  const missing = paths.filter((path) => io.stat(path) === undefined);
  if (missing.length === 0) return;
  const args = ['-m', '600', ...missing];
  const ran = await io.run({
    command: 'mkfifo',
    args,
    timeoutMs: MKFIFO_MS,
    outputBytesMax: 1_000,
  });
  if (ran.code !== 0) throw new RuntimeError('IO', `can't make pipes: ${ran.output.trim()}`, true);
}

/**
 * The reading end of a pipe whose writer comes later. Held open for reading and writing meanwhile: a
 * pipe that nobody reads would stop its writer, and one that nobody writes is at its end.
 */
export class FifoReader {
  readonly readable: Readable;
  #keeper: number | undefined;

  constructor(path: string) {
    this.#keeper = openSync(path, O_RDWR | O_NONBLOCK);
    const fd = openSync(path, O_RDONLY | O_NONBLOCK);
    // A stream on the file would hold one of the few threads for as long as nothing comes.
    const socket = new Socket({ fd, readable: true, writable: false });
    socket.on('error', () => undefined);
    this.readable = socket;
  }
  /** The writer is there: from now on its end is the stream's. */
  writerCame(): void {
    if (this.#keeper !== undefined) closeSync(this.#keeper);
    this.#keeper = undefined;
  }
  close(): void {
    this.writerCame();
    this.readable.destroy();
  }
}

/** The writing end of a pipe, also while nobody reads it yet. */
export function openFifoWriter(path: string): Writable {
  const fd = openSync(path, O_RDWR | O_NONBLOCK);
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => undefined);
  return socket;
}
