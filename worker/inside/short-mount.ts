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

const LOWER = 'lowerdir=';

function shortened(option: string, short: (path: string) => string): string {
  const [, name, paths] = /^((?:lower|upper|work)dir=)(.*)$/.exec(option) ?? [];
  if (name === undefined || paths === undefined) return option;
  return name + paths.split(':').map(short).join(':');
}
