import {
  AddImageProgress,
  type AddImageRequest,
  Image,
  ImageBlob,
  ImageView,
  ListImagesResponse,
  type ListRequest,
  type ManagerCopy,
  type PruneImagesRequest,
  RemovedImages,
  type RemoveImageRequest,
} from '../../proto/index.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { type ImageParts, imageParts } from '../../shared/distribution/image-parts.ts';
import { imageName } from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { referenceOf } from '../images/logins.ts';
import type { Draft, View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { check, invalid } from './field.ts';
import { compileFilters } from './filters.ts';
import type { FreshReads } from './freshness.ts';
import { copyToManagers } from './image-copies.ts';
import { serviceName } from './specs.ts';
import { write } from './writes.ts';

const ORIGINS = ['loaded', 'pushed', 'local'];

/** Images whose parts the managers keep, so that nodes need no registry for them. */
export class Images {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  /** The rows are written when a quorum, and all managers that answer, have every part on disk. */
  async *add(request: AddImageRequest, context: CallContext): AsyncIterable<AddImageProgress> {
    const names = checkedNames(request);
    const { disks, clock, selfNodeId, raft } = this.#deps;
    const { signal } = context;
    const copying = copyToManagers(
      { disks, clock, selfNodeId, signal },
      raft.status(),
      request.blobs,
      request.holder,
    );
    let copies: readonly ManagerCopy[] = [];
    for await (copies of copying) yield AddImageProgress.create({ copies });
    const parts = await this.#partsOf(request);
    await write(this.#deps, context, (draft) => putImages(draft, names, parts, request.origin));
    const { view } = this.#deps.store;
    const images = names.map((name) =>
      viewOf(view, view.table('image').get(name) ?? Image.create()),
    );
    const failed = copies.filter(({ error }) => error !== '');
    const warnings = failed.map(
      ({ nodeName, nodeId, error }) => `${nodeName || nodeId} has not got it yet: ${error}`,
    );
    yield AddImageProgress.create({ copies, images, warnings });
  }

  async list(request: ListRequest, context: CallContext): Promise<ListImagesResponse> {
    const passes = compileFilters(request.filters, FILTERS);
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const rows = [...view.table('image').all()].filter(passes);
    rows.sort((a, b) => (a.id < b.id ? -1 : 1));
    const images = rows.map((row) => viewOf(view, row));
    return ListImagesResponse.with(ListImagesResponse.create(), { images, freshness });
  }

  async remove(request: RemoveImageRequest, context: CallContext): Promise<RemovedImages> {
    const removed = await write(this.#deps, context, (draft) => {
      const image = resolveImage(draft, request.ref);
      const users = request.force ? [] : usersOf(draft, image);
      if (users.length > 0)
        throw new SwarmError('IN_USE', `${image.id} is used by ${users.join(', ')}`, {
          advice: 'Remove or update what uses it, or give --force.',
        });
      return { name: image.id, bytes: removeImages(draft, [image]) };
    });
    return RemovedImages.create({ names: [removed.name], bytes: removed.bytes });
  }

  /** All that no service uses, its earlier revisions included: those may be gone back to. */
  async prune(request: PruneImagesRequest, context: CallContext): Promise<RemovedImages> {
    const passes = compileFilters(request.filters, FILTERS);
    const removed = await write(this.#deps, context, (draft) => {
      const unused = [...draft.table('image').all()].filter(
        (image) => passes(image) && usersOf(draft, image).length === 0,
      );
      const names = unused.map(({ id }) => id).sort();
      return { names: names.join('\n'), bytes: removeImages(draft, unused) };
    });
    const names = removed.names === '' ? [] : removed.names.split('\n');
    return RemovedImages.create({ names, bytes: removed.bytes });
  }

  /** What it consists of is found out here, from what is on the disk. */
  async #partsOf({ root, mediaType }: AddImageRequest): Promise<ImageParts> {
    try {
      return await imageParts(this.#deps.disks.blobs, { mediaType, ...rootOf(root) });
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      throw new SwarmError('INVALID_ARGUMENT', error.message, {
        cause: error,
        advice: 'Save it again, and load it again.',
      });
    }
  }
}

const FILTERS = {
  name: (row: Image, value: string) => row.id.includes(value),
  digest: (row: Image, value: string) => row.digest.startsWith(value),
  origin: (row: Image, value: string) => row.origin === value,
};

function rootOf(root: AddImageRequest['root']): { digest: string; size: number } {
  return { digest: root?.digest ?? '', size: root?.size ?? 0 };
}

/** Full names. */
function checkedNames(request: AddImageRequest): readonly string[] {
  check(request.names.length > 0, 'names', 'the image has no name', 'NAME[:TAG]');
  check(ORIGINS.includes(request.origin), 'origin', `"${request.origin}"`, ORIGINS.join(', '));
  const { length } = request.blobs;
  check(
    length <= LIMITS.imagePartsMax,
    'blobs',
    `${length} parts`,
    `at most ${LIMITS.imagePartsMax}`,
  );
  return request.names.map((name) => {
    const reference = referenceOf(name);
    if (reference === undefined || reference.digest !== '')
      throw invalid('names', `"${name.slice(0, 200)}" is no name of an image`, 'NAME[:TAG]');
    return imageName(reference);
  });
}

function putImages(
  draft: Draft,
  names: readonly string[],
  { root, parts, platforms, configDigest }: ImageParts,
  origin: string,
): undefined {
  for (const { digest, size } of parts)
    if (!draft.table('imageBlob').has(digest))
      draft.put('imageBlob', ImageBlob.create({ id: digest, size }));
  const totalBytes = parts.reduce((sum, { size }) => sum + size, 0);
  for (const name of names) {
    const before = draft.table('image').get(name);
    const image = Image.create({
      id: name,
      digest: root.digest,
      mediaType: root.mediaType,
      size: root.size,
      digests: parts.map(({ digest }) => digest),
      totalBytes,
      platforms,
      origin,
      configDigest,
      createdWallMs: draft.wallMs,
    });
    draft.put('image', image);
    if (before !== undefined) dropBlobs(draft, before.digests);
    const message = `${origin}: ${root.digest}`;
    draft.emit({ kind: 'image', action: 'add', id: root.digest, name, message });
  }
  return undefined;
}

/** Returns how many bytes no image needs any more. */
function removeImages(draft: Draft, images: readonly Image[]): number {
  for (const { id, digest } of images) {
    draft.delete('image', id);
    draft.emit({ kind: 'image', action: 'remove', id: digest, name: id, message: '' });
  }
  return images.reduce((sum, { digests }) => sum + dropBlobs(draft, digests), 0);
}

function dropBlobs(draft: Draft, digests: readonly string[]): number {
  let bytes = 0;
  for (const digest of digests) {
    const row = draft.table('imageBlob').get(digest);
    if (row === undefined || draft.table('image').countBy('blob', digest) > 0) continue;
    draft.delete('imageBlob', digest);
    bytes += row.size;
  }
  return bytes;
}

function resolveImage(view: View, ref: string): Image {
  const reference = referenceOf(ref);
  const named = reference && view.table('image').get(imageName(reference));
  if (named !== undefined) return named;
  const digest = reference?.digest || (/^[0-9a-f]{6,}$/.test(ref) ? `sha256:${ref}` : ref);
  const found = [...view.table('image').all()].filter(
    (image) => digest.length > 'sha256:'.length && image.digest.startsWith(digest),
  );
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new SwarmError('AMBIGUOUS', `several images have ${ref}`, {
      advice: `Give one of their names: ${found.map(({ id }) => id).join(', ')}.`,
    });
  throw new SwarmError('NOT_FOUND', `the managers keep no image "${ref.slice(0, 200)}"`, {
    advice: 'List those that they keep.',
    command: 'swarm image ls',
  });
}

function viewOf(view: View, image: Image): ImageView {
  return ImageView.with(ImageView.create({ services: usersOf(view, image) }), { image });
}

/** Names of services with a revision that runs this image, or that may be gone back to. */
function usersOf(view: View, image: Image): string[] {
  const users = new Set<string>();
  for (const { serviceId, spec } of view.table('serviceRevision').all()) {
    const text = spec?.task?.container?.image ?? '';
    if (!text.endsWith(`@${image.digest}`) && !namesIt(text, image.id)) continue;
    const service = view.table('service').get(serviceId);
    if (service !== undefined && !service.removing) users.add(serviceName(service));
  }
  return [...users].sort();
}

/** A service that was not pinned names it by its tag. */
function namesIt(text: string, id: string): boolean {
  if (text === '' || text.includes('@')) return false;
  const reference = referenceOf(text);
  return reference !== undefined && imageName(reference) === id;
}
