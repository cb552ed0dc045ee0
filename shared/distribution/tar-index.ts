import { type FileHandle, open } from 'node:fs/promises';
import { LIMITS } from '../limits.ts';
import { ImageError } from './image-error.ts';

const BLOCK = 512;
const CHUNK_BYTES = 1 << 20;
const NAME_BYTES_MAX = 64 << 10;

interface TarFile {
  readonly offset: number;
  readonly size: number;
  /** Where a link leads, as written; empty for a plain file. */
  readonly link: string;
}

/**
 * The files in a tar archive on disk, read at their place: nothing is unpacked, so no name in it can
 * lead anywhere. Throws ImageError IMAGE_INVALID for what is no whole archive.
 */
export class TarIndex {
  readonly #file: FileHandle;
  readonly #entries = new Map<string, TarFile>();

  private constructor(file: FileHandle) {
    this.#file = file;
  }
  /** Who opens closes. */
  static async open(path: string): Promise<TarIndex> {
    const index = new TarIndex(await open(path, 'r'));
    try {
      await index.#read();
      return index;
    } catch (error) {
      await index.close();
      throw error;
    }
  }
  async close(): Promise<void> {
    await this.#file.close();
  }
  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }
  size(name: string): number {
    return this.#need(name).size;
  }
  /** A small file as a whole. */
  async read(name: string): Promise<Uint8Array> {
    const { offset, size } = this.#need(name);
    if (size > LIMITS.imageDocumentBytesMax) throw broken(`${name} in it is too large`);
    return this.#bytes(offset, size);
  }
  async *stream(name: string, from: number): AsyncIterable<Uint8Array> {
    const { offset, size } = this.#need(name);
    for (let at = from; at < size; at += CHUNK_BYTES) {
      yield await this.#bytes(offset + at, Math.min(CHUNK_BYTES, size - at));
    }
  }
  #need(name: string): TarFile {
    const entry = this.#find(name);
    if (entry === undefined) throw broken(`${name} is missing in it`);
    return entry;
  }
  /** Older archives hold a layer once and link to it from other images. */
  #find(name: string): TarFile | undefined {
    let path = normal(name);
    for (let hops = 0; hops < 8; hops++) {
      const entry = this.#entries.get(path);
      if (entry === undefined || entry.link === '') return entry;
      path = normal(`${path.includes('/') ? path.replace(/\/[^/]*$/, '') : ''}/${entry.link}`);
    }
    return undefined;
  }
  async #read(): Promise<void> {
    const { size: total } = await this.#file.stat();
    const magic = total >= 2 ? await this.#bytes(0, 2) : undefined;
    if (magic?.[0] === 0x1f && magic[1] === 0x8b) {
      throw broken('the file is compressed: give it uncompressed (gunzip FILE)');
    }
    let at = 0;
    let name = '';
    let link = '';
    let length = -1;
    while (at + BLOCK <= total) {
      const head = await this.#bytes(at, BLOCK);
      if (head.every((byte) => byte === 0)) return;
      const header = parseHeader(head);
      const size = length >= 0 && header.type !== 'x' && header.type !== 'L' ? length : header.size;
      at += BLOCK;
      if (at + size > total) throw broken('the archive is cut off');
      if (header.type === 'x' || header.type === 'L' || header.type === 'K') {
        if (size > NAME_BYTES_MAX) throw broken('a name in it is too long');
        const text = await this.#bytes(at, size);
        if (header.type === 'L') name = cString(text);
        else if (header.type === 'K') link = cString(text);
        else {
          const fields = parsePax(text);
          name = fields.get('path') ?? name;
          link = fields.get('linkpath') ?? link;
          length = Number(fields.get('size') ?? -1);
        }
      } else {
        this.#add(header, name || header.name, link || header.link, at, size);
        [name, link, length] = ['', '', -1];
      }
      at += Math.ceil(size / BLOCK) * BLOCK;
    }
    if (this.#entries.size === 0) throw broken('the file is no archive of an image');
  }
  #add(header: TarHeader, name: string, link: string, offset: number, size: number): void {
    if (this.#entries.size >= LIMITS.archiveEntriesMax) throw broken('it has too many files');
    if (header.type === '0') this.#entries.set(normal(name), { offset, size, link: '' });
    if (header.type === '2') this.#entries.set(normal(name), { offset, size: 0, link });
    if (header.type === '1') this.#entries.set(normal(name), { offset, size: 0, link: `/${link}` });
  }
  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#file.read(buffer, done, length - done, offset + done);
      if (bytesRead === 0) throw broken('the archive is cut off');
      done += bytesRead;
    }
    return buffer;
  }
}

interface TarHeader {
  readonly name: string;
  readonly size: number;
  readonly type: string;
  readonly link: string;
}

function parseHeader(head: Uint8Array): TarHeader {
  const stored = Number.parseInt(cString(head.subarray(148, 156)).trim(), 8);
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 32 : head[at]!;
  if (sum !== stored) throw broken('the file is no archive of an image, or damaged');
  const prefix =
    cString(head.subarray(257, 262)) === 'ustar' ? cString(head.subarray(345, 500)) : '';
  const name = cString(head.subarray(0, 100));
  const flag = head[156]!;
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: parseSize(head.subarray(124, 136)),
    type: flag === 0 ? '0' : String.fromCharCode(flag),
    link: cString(head.subarray(157, 257)),
  };
}

/** Octal, or binary for what octal can't hold. */
function parseSize(field: Uint8Array): number {
  if ((field[0]! & 0x80) !== 0) {
    return field.subarray(4).reduce((value, byte) => value * 256 + byte, 0);
  }
  const size = Number.parseInt(cString(field).trim() || '0', 8);
  if (!Number.isSafeInteger(size) || size < 0) throw broken('a size in it makes no sense');
  return size;
}

function parsePax(bytes: Uint8Array): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(32, at);
    const length = Number(Buffer.from(bytes.subarray(at, space)).toString('latin1'));
    if (space < 0 || !Number.isInteger(length) || length <= space - at) break;
    const record = Buffer.from(bytes.subarray(space + 1, at + length - 1)).toString('utf8');
    const equals = record.indexOf('=');
    fields.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return fields;
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

/** One spelling for each name, without a way out of the archive. */
function normal(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function broken(why: string): ImageError {
  return new ImageError('IMAGE_INVALID', `can't read the image: ${why}`);
}
