import { closeSync, constants, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
const LINKS_MAX = 40;

/** A directory that is open, and something in it. Who gets it closes it. */
export class Place {
  readonly directory: number;
  /** `.` stands for the directory itself. */
  readonly name: string;
  /** Of the thing itself, not of what it leads to; undefined: there is nothing of that name. */
  readonly stats: Stats | undefined;

  constructor(directory: number, name: string, stats: Stats | undefined) {
    this.directory = directory;
    this.name = name;
    this.stats = stats;
  }
  get path(): string {
    return below(this.directory, this.name);
  }
  close(): void {
    closeSync(this.directory);
  }
}

/** A name in an open directory, whatever became of that directory's own name meanwhile. */
export function below(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

/** The one directory, not what a link of its name leads to. */
export function openDirectory(path: string): number {
  return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/**
 * Files below one directory, as somebody sees them for whom that is the root. Each step of a path is
 * taken from the directory before it, which is held open, and links are followed by hand: whoever moves
 * things about meanwhile can lead nobody out of it.
 */
export class Tree {
  readonly #root: string;

  /** Opened anew for each look. */
  constructor(root: string) {
    this.#root = root;
  }
  /**
   * Undefined where a directory on the way is missing or is none. `follow`: what a link at the very end
   * leads to.
   */
  locate(path: string, follow: boolean): Place | undefined {
    const open = [openSync(this.#root, O_RDONLY | O_DIRECTORY)];
    const leave = (kept: number): void => {
      for (const fd of open.splice(kept)) closeSync(fd);
    };
    try {
      const place = this.#walk(path, follow, open, leave);
      if (place !== undefined) open.splice(open.indexOf(place.directory), 1);
      return place;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    } finally {
      leave(0);
    }
  }
  #walk(
    path: string,
    follow: boolean,
    open: number[],
    leave: (kept: number) => void,
  ): Place | undefined {
    let rest = partsOf(path);
    for (let links = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest;
      if (name === '..') {
        if (open.length > 1) leave(open.length - 1);
        rest = after;
        continue;
      }
      const at = below(open.at(-1)!, name);
      const stats = lstatSync(at, { throwIfNoEntry: false });
      if (stats?.isSymbolicLink() === true && (after.length > 0 || follow)) {
        if (++links > LINKS_MAX) throw Object.assign(new Error(`${path}: too many links`), LOOP);
        const target = readlinkSync(at);
        if (target.startsWith('/')) leave(1);
        rest = [...partsOf(target), ...after];
        continue;
      }
      if (after.length === 0) return new Place(open.at(-1)!, name, stats);
      open.push(openDirectory(at));
      rest = after;
    }
    const top = open.at(-1)!;
    return new Place(top, '.', lstatSync(below(top, '.')));
  }
}

const LOOP = { code: 'ELOOP' };

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
