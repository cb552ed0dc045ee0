import { dirname } from 'node:path';
import type { MountPoint } from '../../proto/containerd.ts';

type Mount = Pick<MountPoint, 'type' | 'source' | 'options'>;

/**
 * The same mount with paths as seen from `from`. The kernel takes one page of options: the full paths
 * of some fifty layers do not fit.
 */
export function shortMount({ type, source, options }: Mount): Mount & { readonly from: string } {
  const lower = options.find((option) => option.startsWith(LOWER))?.slice(LOWER.length) ?? '';
  // Of <all snapshots>/<one>/fs.
  const from = dirname(dirname(lower.split(':')[0]!));
  if (type !== 'overlay' || !from.startsWith('/') || from === '/')
    return { type, source, options, from: '/' };
  const short = (path: string) =>
    path.startsWith(`${from}/`) ? path.slice(from.length + 1) : path;
  return { type, source, options: options.map((option) => shortened(option, short)), from };
}

/**
 * Shell that mounts it at `place`, read-only; `words` are its first arguments, which are gone when more
 * shell follows behind it.
 */
export function readOnlyMount(
  full: Mount,
  place: string,
): { readonly script: string; readonly words: readonly string[] } {
  const { type, source, options, from } = shortMount(full);
  return { script: MOUNT, words: [type, [...options, 'ro'].join(','), source, place, from] };
}

// The newer calls of the kernel, which mount(8) of util-linux 2.39 and later would use, take no more than
// 255 bytes of an option: a dozen layers. Older ones do not know this variable.
const MOUNT =
  'cd "$5" && LIBMOUNT_FORCE_MOUNT2=always mount -t "$1" -o "$2" "$3" "$4" && cd / && shift 5';

const LOWER = 'lowerdir=';

function shortened(option: string, short: (path: string) => string): string {
  const [, name, paths] = /^((?:lower|upper|work)dir=)(.*)$/.exec(option) ?? [];
  if (name === undefined || paths === undefined) return option;
  return name + paths.split(':').map(short).join(':');
}
