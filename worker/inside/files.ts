import { readlinkSync, type Stats, writeSync } from 'node:fs';
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../shared/errors.ts';
import { packPlace } from '../../shared/files/pack.ts';
import { Tree } from '../../shared/files/tree.ts';
import { Unpacker } from '../../shared/files/unpack.ts';

/** What the daemon asks for, as JSON in the arguments. */
export interface FilesOrder {
  readonly action: 'stat' | 'read' | 'write';
  /** The directory that is the task's root. */
  readonly root: string;
  readonly path: string;
  readonly followLink: boolean;
  readonly keepOwner: boolean;
  /** The directory `path` is the whole archive: its own owner and rights belong to it. */
  readonly itself?: boolean;
  /** Who it is done as; null: whoever this program runs as. `name`: with all of their groups. */
  readonly user: { readonly uid: number; readonly gid: number; readonly name: string } | null;
}

/** Lines that it writes on file descriptor 3: first what is at the path, later what went wrong. */
export type FilesNote = { readonly file: NotedFile | null } | { readonly error: string };
export interface NotedFile {
  readonly name: string;
  readonly directory: boolean;
  readonly mode: number;
  readonly size: number;
  readonly modifiedWallMs: number;
  readonly link: string;
}

const NOTES_FD = 3;

/** Reads and writes archives on its standard output and input. Resolves with the exit code. */
export async function serveFiles(order: string): Promise<number> {
  try {
    const parsed = JSON.parse(order) as FilesOrder;
    become(parsed.user);
    await serve(parsed);
    return 0;
  } catch (error) {
    note({ error: plain(error) });
    return 1;
  }
}

function become(user: FilesOrder['user']): void {
  if (user === null) return;
  const own = process as typeof process & { initgroups?(name: string, gid: number): void };
  if (user.name === '') own.setgroups?.([user.gid]);
  else own.initgroups?.(user.name, user.gid);
  own.setgid?.(user.gid);
  own.setuid?.(user.uid);
}

async function serve(order: FilesOrder): Promise<void> {
  const { action, root, path, followLink, keepOwner, itself = false } = order;
  const place = new Tree(root).locate(path, followLink || action === 'write');
  try {
    const stats = place?.stats;
    const at = place?.path ?? '';
    note({ file: stats === undefined ? null : noted(path, stats, at) });
    if (action === 'stat' || place === undefined || stats === undefined) return;
    if (action === 'read') {
      const name = posix.basename(posix.normalize(path));
      const contents = path.endsWith('/.') || name === '' || name === '.' || name === '/';
      const archiveName = itself ? '.' : contents ? '' : name;
      await pipeline(Readable.from(packPlace(place, archiveName)), process.stdout);
      return;
    }
    if (!stats.isDirectory()) throw new Error(`${path} is no directory`);
    const rename = (name: string): string => name;
    const unpacker = new Unpacker({ root, directory: path, rename, keepOwner, itself });
    for await (const chunk of process.stdin) unpacker.write(chunk as Buffer);
    unpacker.end();
  } finally {
    place?.close();
  }
}

function noted(path: string, stats: Stats, at: string): NotedFile {
  return {
    name: posix.basename(posix.normalize(path)),
    directory: stats.isDirectory(),
    mode: stats.mode,
    size: stats.size,
    modifiedWallMs: Math.floor(stats.mtimeMs),
    link: stats.isSymbolicLink() ? readlinkSync(at) : '',
  };
}

function note(value: FilesNote): void {
  writeSync(NOTES_FD, `${JSON.stringify(value)}\n`);
}

/** Where a file is held open is nobody's business. */
function plain(error: unknown): string {
  return messageOf(error).replaceAll(/\/proc\/self\/fd\/\d+\//g, '');
}
