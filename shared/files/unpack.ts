import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { posix } from 'node:path';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { BLOCK, decodeHeader, parsePax, type RawHeader, type TarEntry } from './tar-header.ts';
import { openDirectory, type Place, Tree } from './tree.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

export interface UnpackOptions {
  /** Where names are looked up: nothing outside is ever touched. */
  readonly root: string;
  /** The directory in `root` that the archive's names begin in. */
  readonly directory: string;
  /** The name that an entry gets; undefined: it is left out. */
  readonly rename: (name: string) => string | undefined;
  /** Owners as the archive has them, and bits that lend an owner's rights. */
  readonly keepOwner: boolean;
  /**
   * The archive is all of `directory`: an entry for itself gives it its owner and rights, and an archive
   * without its end mark was cut off.
   */
  readonly itself?: boolean;
  /** Links whose target is not below this name (empty: `directory`) are left out, and told. */
  readonly linksInside?: {
    readonly top: string;
    readonly leftOut: (name: string, target: string) => void;
  };
}

/**
 * Takes a tar archive piece by piece and makes its files. Names with `..` are refused; links are
 * followed inside `root` only, whatever they say.
 */
export class Unpacker {
  readonly #options: UnpackOptions;
  readonly #tree: Tree;
  /** Directories get their times last: what is put into them changes these. */
  readonly #directories: { readonly path: string; readonly entry: TarEntry }[] = [];
  #pending: Buffer = Buffer.alloc(0);
  #fd: number | undefined;
  #left = 0;
  #paddingLeft = 0;
  #extended: { readonly flag: string; readonly chunks: Buffer[] } | undefined;
  #overrides: Map<string, string> = new Map();
  #entry: TarEntry | undefined;
  #ended = false;
  #entries = 0;
  /** Content of files so far. */
  bytes = 0;

  constructor(options: UnpackOptions) {
    this.#options = options;
    this.#tree = new Tree(options.root);
  }
  write(chunk: Uint8Array): void {
    this.#pending = this.#pending.length === 0 ? asBuffer(chunk) : join(this.#pending, chunk);
    while (this.#step());
  }
  /** Throws when the archive was cut off. */
  end(): void {
    this.abort();
    const needsMark = this.#entries === 0 || this.#options.itself === true;
    if (this.#left > 0 || this.#extended !== undefined || (!this.#ended && needsMark)) {
      throw broken('it is cut off');
    }
    for (const { path, entry } of this.#directories.reverse()) this.#finishDirectory(path, entry);
  }
  abort(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** False: more bytes are needed. */
  #step(): boolean {
    if (this.#pending.length === 0 || this.#ended) {
      if (this.#ended) this.#pending = Buffer.alloc(0);
      return false;
    }
    if (this.#left > 0) {
      this.#content(this.#take(Math.min(this.#left, this.#pending.length)));
      return true;
    }
    if (this.#paddingLeft > 0) {
      this.#paddingLeft -= this.#take(Math.min(this.#paddingLeft, this.#pending.length)).length;
      return true;
    }
    if (this.#pending.length < BLOCK) return false;
    this.#header(this.#take(BLOCK));
    return true;
  }
  #take(length: number): Buffer {
    const taken = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    return taken;
  }
  #header(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    const raw = decodeHeader(block);
    if (raw === undefined) throw broken('a header in it is damaged');
    if (++this.#entries > LIMITS.copyEntriesMax) throw broken('it has too many files');
    if ('xLKg'.includes(raw.flag)) {
      if (raw.size > LIMITS.copyNameBytesMax) throw broken('a name in it is too long');
      this.#extended = { flag: raw.flag, chunks: [] };
      this.#begin(raw.size);
      return;
    }
    const entry = this.#named(raw);
    this.#overrides = new Map();
    this.#begin(entry.size);
    this.#make(entry);
  }
  #begin(size: number): void {
    this.#left = size;
    this.#paddingLeft = (BLOCK - (size % BLOCK)) % BLOCK;
    if (size === 0) this.#contentEnded();
  }
  #content(bytes: Buffer): void {
    this.#left -= bytes.length;
    if (this.#extended !== undefined) this.#extended.chunks.push(Buffer.from(bytes));
    if (this.#fd !== undefined) {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.bytes += bytes.length;
    }
    if (this.#left === 0) this.#contentEnded();
  }
  #contentEnded(): void {
    const extended = this.#extended;
    this.#extended = undefined;
    if (extended !== undefined) this.#override(extended.flag, Buffer.concat(extended.chunks));
    if (this.#fd === undefined || this.#entry === undefined) return;
    this.#finishFile(this.#fd, this.#entry);
    this.abort();
  }
  #override(flag: string, bytes: Buffer): void {
    const text = bytes.toString('utf8').replace(/\0.*$/s, '');
    if (flag === 'L') this.#overrides.set('path', text);
    if (flag === 'K') this.#overrides.set('linkpath', text);
    if (flag !== 'x') return;
    for (const [key, value] of parsePax(bytes)) this.#overrides.set(key, value);
  }
  #named(raw: RawHeader): TarEntry {
    const number = (key: string, or: number): number => {
      const value = Number(this.#overrides.get(key) ?? or);
      return Number.isSafeInteger(value) && value >= 0 ? value : or;
    };
    return {
      ...raw,
      name: this.#overrides.get('path') ?? raw.name,
      link: this.#overrides.get('linkpath') ?? raw.link,
      size: raw.kind === 'file' || raw.kind === 'other' ? number('size', raw.size) : 0,
      uid: number('uid', raw.uid),
      gid: number('gid', raw.gid),
    };
  }

  #make(entry: TarEntry): void {
    const name = this.#options.rename(safeName(entry.name));
    if (name === undefined) return;
    const path = posix.join(this.#options.directory, name);
    if (entry.kind === 'directory') this.#makeDirectory(path, entry);
    else if (entry.kind !== 'other') this.#place(path, (place) => this.#makeIn(place, name, entry));
  }
  #makeIn(place: Place, name: string, entry: TarEntry): void {
    if (place.stats?.isDirectory() === true) {
      throw refused(`${name} is a directory there, and none in what is copied`);
    }
    if (entry.kind === 'link' && this.#leadsOut(name, entry.link)) return;
    if (place.stats !== undefined) unlinkSync(place.path);
    if (entry.kind === 'link') symlinkSync(entry.link, place.path);
    if (entry.kind === 'hard link') this.#makeHardLink(place, entry.link);
    if (entry.kind !== 'file') {
      if (this.#options.keepOwner) lchownSync(place.path, entry.uid, entry.gid);
      return;
    }
    this.#entry = entry;
    this.#fd = openSync(place.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    if (entry.size === 0) this.#contentEnded();
  }
  #leadsOut(name: string, target: string): boolean {
    const { linksInside } = this.#options;
    if (linksInside === undefined) return false;
    const { top, leftOut } = linksInside;
    const end = posix.normalize(posix.join(posix.dirname(name), target));
    const inside = top === '' ? end !== '..' && !end.startsWith('../') : isBelow(end, top);
    if (inside && !target.startsWith('/')) return false;
    leftOut(name, target);
    return true;
  }
  #makeHardLink(place: Place, target: string): void {
    const name = this.#options.rename(safeName(target));
    const path = name === undefined ? '' : posix.join(this.#options.directory, name);
    const from = name === undefined ? undefined : this.#tree.locate(path, false);
    try {
      if (from?.stats?.isFile() !== true)
        throw broken(`a link leads to ${target}: it is not there`);
      linkSync(from.path, place.path);
    } finally {
      from?.close();
    }
  }
  #makeDirectory(path: string, entry: TarEntry): void {
    this.#place(path, (place) => {
      if (place.stats === undefined) mkdirSync(place.path, { mode: 0o700 });
      else if (!this.#isDirectory(path)) throw refused(`${path} is there, and is no directory`);
      // What was there stays as it is, but for what is put in.
      else if (this.#options.itself !== true || path !== this.#options.directory) return;
      this.#directories.push({ path, entry });
    });
  }
  #isDirectory(path: string): boolean {
    const found = this.#tree.locate(path, true);
    found?.close();
    return found?.stats?.isDirectory() === true;
  }
  /** Directories on the way that no entry named are made. */
  #place(path: string, fn: (place: Place) => void): void {
    const place = this.#tree.locate(path, false) ?? this.#withParents(path);
    try {
      fn(place);
    } finally {
      place.close();
    }
  }
  #withParents(path: string): Place {
    const parent = posix.dirname(path);
    if (parent === path) throw refused(`${path} can not be made`);
    this.#place(parent, (place) => {
      if (place.stats === undefined) mkdirSync(place.path, { mode: 0o755 });
    });
    const place = this.#tree.locate(path, false);
    if (place === undefined) throw refused(`${parent} is no directory`);
    return place;
  }
  #finishFile(fd: number, entry: TarEntry): void {
    if (this.#options.keepOwner) fchownSync(fd, entry.uid, entry.gid);
    fchmodSync(fd, this.#mode(entry));
    futimesSync(fd, entry.modifiedMs / 1_000, entry.modifiedMs / 1_000);
  }
  #finishDirectory(path: string, entry: TarEntry): void {
    const place = this.#tree.locate(path, true);
    if (place?.stats?.isDirectory() !== true) {
      place?.close();
      return;
    }
    const fd = openDirectory(place.path);
    try {
      this.#finishFile(fd, entry);
    } finally {
      closeSync(fd);
      place.close();
    }
  }
  #mode({ mode }: TarEntry): number {
    return mode & (this.#options.keepOwner ? 0o7777 : 0o1777);
  }
}

/** A name as it may be used: no matter where it starts, it stays below. */
function safeName(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0')) {
    throw refused(`the name ${JSON.stringify(name)} leads out of what is copied`);
  }
  return parts.join('/');
}

function isBelow(path: string, top: string): boolean {
  return path.startsWith(`${top}/`) || path === top;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
function join(left: Buffer, right: Uint8Array): Buffer {
  return Buffer.concat([left, right]);
}
function broken(why: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `The archive can not be unpacked: ${why}.`);
}
function refused(why: string): SwarmError {
  return new SwarmError('PRECONDITION', `Not copied: ${why}.`);
}
