import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import { BLOCK, encodeHeader, padding, type TarEntry, type TarKind } from './tar-header.ts';
import { below, openDirectory, type Place } from './tree.ts';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
const CHUNK_BYTES = 64 << 10;

/**
 * A tar archive of what is at a place, under `name`: with an empty name of what is in that directory.
 * Links stay links; sockets, devices and pipes are left out.
 */
export function* packPlace(place: Place, name: string): Iterable<Uint8Array> {
  const { stats } = place;
  if (stats === undefined) throw new Error('there is nothing to pack');
  yield* packOne(place.directory, place.name, name, stats);
  yield Buffer.alloc(2 * BLOCK);
}

function* packOne(
  directory: number,
  file: string,
  name: string,
  stats: Stats,
): Iterable<Uint8Array> {
  if (stats.isDirectory()) yield* packDirectory(below(directory, file), name, stats);
  else if (stats.isFile()) yield* packFile(below(directory, file), name);
  else if (stats.isSymbolicLink()) {
    const link = readlinkSync(below(directory, file));
    yield encodeHeader(entryOf(name, 'link', stats, 0, link));
  }
}

function* packDirectory(path: string, name: string, stats: Stats): Iterable<Uint8Array> {
  const directory = openDirectory(path);
  try {
    if (name !== '') yield encodeHeader(entryOf(`${name}/`, 'directory', stats, 0));
    for (const child of readdirSync(below(directory, '.'), { withFileTypes: true })) {
      const inside = name === '' ? child.name : `${name}/${child.name}`;
      const found = statsOf(directory, child.name);
      if (found !== undefined) yield* packOne(directory, child.name, inside, found);
    }
  } finally {
    closeSync(directory);
  }
}

/** As long as it was when it was opened: what is cut off meanwhile is zeros. */
function* packFile(path: string, name: string): Iterable<Uint8Array> {
  const fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return;
    yield encodeHeader(entryOf(name, 'file', stats, stats.size));
    for (let at = 0; at < stats.size; ) {
      const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, stats.size - at));
      const read = readSync(fd, buffer, 0, buffer.length, at);
      const got = read === 0 ? buffer.length : read;
      yield buffer.subarray(0, got);
      at += got;
    }
    yield padding(stats.size);
  } finally {
    closeSync(fd);
  }
}

/** Undefined: it went away meanwhile. */
function statsOf(directory: number, name: string): Stats | undefined {
  try {
    const fd = openSync(below(directory, name), O_PATH | O_NOFOLLOW);
    try {
      return fstatSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Opens nothing, so that nothing can happen by it. */
const O_PATH = 0o10000000;

function entryOf(name: string, kind: TarKind, stats: Stats, size: number, link = ''): TarEntry {
  const { mode, uid, gid, mtimeMs: modifiedMs } = stats;
  return { name, kind, size, mode: mode & 0o7777, uid, gid, modifiedMs, link };
}
