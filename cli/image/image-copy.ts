import {
  AddImageRequest,
  BlobUpload,
  ControlService,
  type ImageView,
  LocalService,
  type ManagerCopy,
  MissingBlobsRequest,
} from '../../proto/index.ts';
import type { Descriptor } from '../../shared/distribution/documents.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { type ImagePlace, imageParts } from '../../shared/distribution/image-parts.ts';
import type { BlobStream } from '../../shared/distribution/source.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Context } from '../context.ts';
import { ByteCounter } from '../output/byte-counter.ts';
import { warn } from '../output/warning.ts';
import { formatBytes } from '../parse/bytes.ts';
import type { Session } from '../session.ts';

/** An image on this machine, as it goes to the managers. */
export interface ImageToCopy extends ImagePlace {
  readonly names: readonly string[];
  readonly root: Descriptor;
  readonly origin: 'loaded' | 'pushed' | 'local';
  blob(descriptor: Descriptor): Promise<BlobStream>;
}

/**
 * Sends what the managers lack of an image and makes it one of the cluster. Resolves when a quorum of
 * them, and all that answer, have it on their disks.
 */
export async function copyImage(
  context: Context,
  session: Session,
  image: ImageToCopy,
): Promise<readonly ImageView[]> {
  const { root, parts } = await partsOf(image);
  const blobs = parts.map(({ digest, size }) => ({ digest, size }));
  const asked = MissingBlobsRequest.create({ blobs });
  const answer = await session.read(LocalService.missingBlobs, asked);
  const missing = parts.filter(({ digest }) => answer.digests.includes(digest));
  const signal = context.io.onInterrupt();
  if (missing.length > 0) await upload(context, session, image, missing, signal);
  const { digest, size, mediaType } = root;
  const request = AddImageRequest.create({
    names: image.names,
    root: { digest, size },
    mediaType,
    blobs,
    holder: answer.nodeId,
    origin: image.origin,
  });
  return add(context, session, request, signal);
}

async function partsOf(image: ImageToCopy) {
  try {
    return await imageParts(image, image.root);
  } catch (error) {
    throw asSwarmError(error);
  }
}

/** What is wrong with an image or its file, in the terms of the command line. */
export function asSwarmError(error: unknown): unknown {
  if (error instanceof ImageError)
    return new SwarmError('INVALID_ARGUMENT', error.message, {
      cause: error,
      advice: 'Save the image again: docker save -o FILE.tar IMAGE.',
    });
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || path === undefined || SwarmError.is(error)) return error;
  return new SwarmError('INVALID_ARGUMENT', `${path} cannot be read (${code}).`, {
    cause: error,
    advice: 'Give the path of a file or directory that you may read.',
  });
}

async function upload(
  context: Context,
  session: Session,
  image: ImageToCopy,
  missing: readonly Descriptor[],
  signal: AbortSignal,
): Promise<void> {
  const total = missing.reduce((sum, { size }) => sum + size, 0);
  const counter = new ByteCounter(context.io, `Sending ${image.names[0]}:`, total);
  try {
    const uploads = uploadsOf(image, missing, (count) => counter.add(count));
    await session.upload(LocalService.uploadBlobs, uploads, signal);
  } finally {
    counter.end();
  }
}

async function* uploadsOf(
  image: ImageToCopy,
  missing: readonly Descriptor[],
  onBytes: (count: number) => void,
): AsyncIterable<BlobUpload> {
  for (const part of missing) {
    yield BlobUpload.create({ blob: { digest: part.digest, size: part.size } });
    const { bytes } = await image.blob(part);
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length; at += LIMITS.blobChunkBytes) {
        const data = chunk.subarray(at, at + LIMITS.blobChunkBytes);
        onBytes(data.length);
        yield BlobUpload.create({ data });
      }
    }
  }
}

async function add(
  context: Context,
  session: Session,
  request: AddImageRequest,
  signal: AbortSignal,
): Promise<readonly ImageView[]> {
  const { io } = context;
  let images: readonly ImageView[] = [];
  let shown = false;
  for await (const progress of session.stream(ControlService.addImage, request, signal)) {
    if (progress.images.length > 0) images = progress.images;
    warn(context, progress.warnings);
    if (!io.isTerminal || progress.images.length > 0) continue;
    io.err(`\r\x1b[2KCopying to managers: ${progress.copies.map(copyText).join(', ')}`);
    shown = true;
  }
  if (shown) io.err('\r\x1b[2K');
  return images;
}

function copyText({ nodeName, nodeId, doneBytes, totalBytes, done, error }: ManagerCopy): string {
  const name = nodeName || nodeId.slice(0, 12);
  if (error !== '') return `${name} failed`;
  return done
    ? `${name} has it`
    : `${name} ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
}
