import type { ContainerSpec, NodeDescription } from '../../proto/index.ts';

/** Of nodes, as the kernel names them, to registries' names. */
const ARCHITECTURES: { readonly [name: string]: string } = { x86_64: 'amd64', aarch64: 'arm64' };
/** What else runs there. */
const ALSO: { readonly [architecture: string]: string } = { amd64: '386', arm64: 'arm' };

/** Platforms of an image that was pinned by a manager; none: not known, and its node finds out. */
export function platformsOf(container: ContainerSpec | null | undefined): readonly string[] {
  return container && container.imageAsked !== '' ? container.imagePlatforms : [];
}

/** Words for people where the node can not run any of them; empty: it can, or it is not known. */
export function wrongPlatform(
  platforms: readonly string[],
  description: NodeDescription | null | undefined,
): string {
  if (platforms.length === 0 || !description?.architecture) return '';
  const { os, architecture } = description;
  const own = ARCHITECTURES[architecture] ?? architecture;
  const runs = [`${os || 'linux'}/${own}`, `${os || 'linux'}/${ALSO[own] ?? own}`];
  if (platforms.some((platform) => runs.includes(platform))) return '';
  return `image is for ${platforms.slice(0, SHOWN_MAX).join(', ')}, not for ${runs[0]}`;
}

const SHOWN_MAX = 4;
