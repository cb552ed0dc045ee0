import { LIMITS } from '../limits.ts';
import {
  type Descriptor,
  isIndex,
  mediaTypeOf,
  parseConfig,
  parseIndex,
  parseManifest,
  sha256,
} from './documents.ts';
import { ImageError } from './image-error.ts';

/** Where an image is whole, or partly so. */
export interface ImagePlace {
  has(digest: string): Promise<boolean>;
  /** A small part as a whole. */
  document(descriptor: Descriptor): Promise<Uint8Array>;
}

export interface ImageParts {
  readonly root: Descriptor;
  /** Every part once, the root first. */
  readonly parts: readonly Descriptor[];
  /** linux/amd64, ... */
  readonly platforms: readonly string[];
  /** Of an image for one platform: what Docker calls its id. Else empty. */
  readonly configDigest: string;
}

/**
 * Every part of an image. Of an index those manifests count that are there whole, as archives for one
 * platform keep the index of all. Throws ImageError IMAGE_INVALID where none is, or one is damaged.
 */
export async function imageParts(place: ImagePlace, root: Descriptor): Promise<ImageParts> {
  const bytes = await checked(place, root);
  const mediaType = mediaTypeOf(root, bytes);
  const whole = { ...root, mediaType, size: bytes.length };
  const found = new Map<string, Descriptor>([[root.digest, whole]]);
  const manifests = isIndex(mediaType) ? parseIndex(bytes) : [whole];
  const platforms = new Set<string>();
  const configs: string[] = [];
  for (const manifest of manifests) {
    if (!(await place.has(manifest.digest))) continue;
    const { config, layers } = parseManifest(await checked(place, manifest));
    const needed = [config, ...layers];
    const there = await Promise.all(needed.map(({ digest }) => place.has(digest)));
    if (there.includes(false)) {
      if (manifests.length === 1)
        throw broken(`${needed[there.indexOf(false)]!.digest} is missing`);
      continue;
    }
    for (const part of [manifest, ...needed]) found.set(part.digest, part);
    // What only accompanies an image (signatures, bills of materials) runs nowhere.
    const { os, architecture } = parseConfig(await checked(place, config));
    if (architecture === '' || architecture === 'unknown') continue;
    platforms.add(`${os}/${architecture}`);
    configs.push(config.digest);
  }
  if (platforms.size === 0) throw broken('no whole image is there');
  if (found.size > LIMITS.imagePartsMax) throw broken(`it has ${found.size} parts`);
  return {
    root: whole,
    parts: [...found.values()],
    platforms: [...platforms].sort(),
    configDigest: configs.length === 1 ? configs[0]! : '',
  };
}

async function checked(place: ImagePlace, descriptor: Descriptor): Promise<Uint8Array> {
  const bytes = await place.document(descriptor);
  if (sha256(bytes) === descriptor.digest) return bytes;
  throw broken(`${descriptor.digest} is damaged`);
}

function broken(why: string): ImageError {
  return new ImageError('IMAGE_INVALID', `the image is not whole: ${why}`);
}
