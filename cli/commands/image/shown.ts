import type { ImageView } from '../../../proto/index.ts';
import type { Context } from '../../context.ts';
import { formatBytes } from '../../parse/bytes.ts';
import type { Flags } from '../../spec/flags.ts';

/** docker.io/library/app:1 → app:1, as users write it. */
export function familiarName(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, '');
}

/** What has become an image of the cluster. */
export function printImages(
  context: Context,
  images: readonly ImageView[],
  done: string,
  flags: Flags,
): void {
  for (const { image } of images) {
    const name = familiarName(image?.id ?? '');
    const about = `${image?.digest}, ${formatBytes(image?.totalBytes ?? 0)}`;
    context.io.out(flags.is('quiet') ? `${name}\n` : `${done} ${name} (${about})\n`);
  }
}
