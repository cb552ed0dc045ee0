import { createHash } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NetdHello, NetdRows } from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import { FrameReader, frame } from './framing.ts';

/** Everything that netd needs to listen before it has heard from anybody. */
export interface SavedRows {
  readonly hello: NetdHello;
  readonly rows: NetdRows;
}

/** Its name in the state directory. */
export const ROWS_FILE = 'netd.rows';

const MAGIC = Buffer.from('swnetd01', 'latin1');
const DIGEST_BYTES = 32;
/** Stands for no file. */
const NOTHING = Buffer.alloc(0);

/**
 * The last rows on disk: magic, SHA-256, then two framed messages. Written beside, fsynced, renamed;
 * a file that is torn or of another make reads as none.
 */
export class RowsFile {
  readonly #path: string;
  readonly #log: Log;
  #next: Buffer | undefined;
  #written: Buffer | undefined;
  #writing: Promise<void> | undefined;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }
  async read(): Promise<SavedRows | undefined> {
    const bytes = await readFile(this.#path).catch(() => undefined);
    if (bytes === undefined) return undefined;
    const saved = decode(bytes);
    if (saved === undefined)
      this.#log.warn({ path: this.#path }, 'the saved rows are damaged and were ignored');
    return saved;
  }
  /** Saves in the background; while one write is under way only the latest waits. */
  save(saved: SavedRows): void {
    this.#put(encode(saved));
  }
  /** Removes the file in the background, after what is being written. */
  clear(): void {
    this.#put(NOTHING);
  }
  /** Resolves when everything that was asked for is on disk, or could not be written. */
  async settled(): Promise<void> {
    await this.#writing;
  }
  #put(bytes: Buffer): void {
    if (this.#writing === undefined && this.#written?.equals(bytes)) return;
    this.#next = bytes;
    this.#writing ??= this.#writeAll();
  }
  async #writeAll(): Promise<void> {
    for (let bytes = this.#next; bytes !== undefined; bytes = this.#next) {
      this.#next = undefined;
      try {
        if (bytes === NOTHING) await rm(this.#path, { force: true });
        else await replace(this.#path, bytes);
        this.#written = bytes;
      } catch (error) {
        this.#log.warn({ path: this.#path, error: messageOf(error) }, 'the rows were not saved');
      }
    }
    this.#writing = undefined;
  }
}

async function replace(path: string, bytes: Buffer): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const directory = await open(dirname(path), 'r');
  await directory.sync().finally(() => directory.close());
}

function encode(saved: SavedRows): Buffer {
  const body = Buffer.concat([
    frame(NetdHello.encode(saved.hello)),
    frame(NetdRows.encode(saved.rows)),
  ]);
  return Buffer.concat([MAGIC, digestOf(body), body]);
}

function decode(bytes: Buffer): SavedRows | undefined {
  const body = bytes.subarray(MAGIC.length + DIGEST_BYTES);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (!bytes.subarray(MAGIC.length, MAGIC.length + DIGEST_BYTES).equals(digestOf(body)))
    return undefined;
  const messages: Uint8Array[] = [];
  try {
    new FrameReader((message) => messages.push(message)).push(body);
    if (messages.length !== 2) return undefined;
    return { hello: NetdHello.decode(messages[0]!), rows: NetdRows.decode(messages[1]!) };
  } catch {
    return undefined;
  }
}

function digestOf(body: Buffer): Buffer {
  return createHash('sha256').update(body).digest();
}
