import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { exec, KEPT_IN, must } from './guest.ts';

const MIRROR = 'http://deb.debian.org/debian';
const UNPACK_MS = 1_200_000;

/** A root file system of a release of Debian. */
export interface DebianRoot {
  /** Of the directory in which it is kept between runs. */
  readonly name: string;
  readonly release: string;
  readonly packages: readonly string[];
  /** What else is made in it, once. */
  readonly furnish: (root: string) => void | Promise<void>;
}

/** Where it is, made from Debian's mirror when it is not there yet. Needs root. */
export async function debianRoot({
  name,
  release,
  packages,
  furnish,
}: DebianRoot): Promise<string> {
  const root = join(KEPT_IN, name);
  if (existsSync(root)) return root;
  const work = join(KEPT_IN, `${name}-debootstrap`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  await exec('apt-get', ['download', '-qq', 'debootstrap'], { cwd: work });
  const file = readdirSync(work).find((each) => each.endsWith('.deb'))!;
  await exec('dpkg-deb', ['-x', file, work], { cwd: work });
  const fresh = join(work, 'root');
  await must(
    'env',
    [
      `DEBOOTSTRAP_DIR=${join(work, 'usr', 'share', 'debootstrap')}`,
      join(work, 'usr', 'sbin', 'debootstrap'),
      ...['--variant=minbase', `--include=${packages.join(',')}`, release, fresh, MIRROR],
    ],
    UNPACK_MS,
  );
  await furnish(fresh);
  rmSync(join(fresh, 'var', 'cache', 'apt'), { recursive: true, force: true });
  renameSync(fresh, root);
  rmSync(work, { recursive: true });
  return root;
}
