import { ControlService, type ImageView, ListRequest } from '../../proto/index.ts';
import { type Archive, openArchive } from '../../shared/distribution/archive.ts';
import { imageName, parseReference } from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Context } from '../context.ts';
import { ByteCounter } from '../output/byte-counter.ts';
import type { Session } from '../session.ts';
import { DockerEngine } from './docker-engine.ts';
import { asSwarmError, copyImage, type ImageToCopy } from './image-copy.ts';

/** Copies an image of this machine's Docker to the managers. Undefined: Docker does not have it. */
export async function copyFromDocker(
  context: Context,
  session: Session,
  name: string,
  origin: ImageToCopy['origin'],
): Promise<readonly ImageView[] | undefined> {
  const docker = DockerEngine.find(context.io.env);
  const id = await docker?.imageId(name);
  if (docker === undefined || id === undefined) return undefined;
  const known = await alreadyThere(session, name, id);
  if (known) return [known];
  const counter = new ByteCounter(context.io, `Reading ${name} from Docker:`);
  const signal = context.io.onInterrupt();
  const saved = await docker.save(name, (count) => counter.add(count), signal);
  counter.end();
  try {
    const archive = await openArchive(saved.path);
    try {
      return await copyImage(context, session, imageOf(archive, name, origin));
    } finally {
      await archive.close();
    }
  } catch (error) {
    throw asSwarmError(error);
  } finally {
    await saved.remove();
  }
}

/** The same from this machine's containerd, in the namespace that `CONTAINERD_NAMESPACE` names. */
export async function copyFromContainerd(
  context: Context,
  session: Session,
  name: string,
): Promise<readonly ImageView[] | undefined> {
  const { openContainerdImage } = await import('./containerd-image.ts');
  const found = await openContainerdImage(context.io.env, name);
  if (found === undefined) return undefined;
  try {
    return await copyImage(context, session, found.image);
  } finally {
    found.close();
  }
}

/** The managers have this very image under this name: nothing has to be read. */
async function alreadyThere(
  session: Session,
  name: string,
  id: string,
): Promise<ImageView | undefined> {
  const full = imageName(parseReference(name));
  const { images } = await session.read(ControlService.listImages, ListRequest.create());
  return images.find(
    ({ image }) => image?.id === full && (image.configDigest === id || image.digest === id),
  );
}

function imageOf(archive: Archive, name: string, origin: ImageToCopy['origin']): ImageToCopy {
  const [first] = archive.images;
  const never = new AbortController().signal;
  if (first === undefined)
    throw new SwarmError('INVALID_ARGUMENT', `Docker gave no image for ${name}.`);
  return {
    names: [name],
    root: first.root,
    origin,
    has: (digest) => archive.has(digest),
    document: (descriptor) => archive.document(descriptor, never),
    blob: (descriptor) => archive.blob(descriptor, 0, never),
  };
}
