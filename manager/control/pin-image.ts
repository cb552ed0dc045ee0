import { ContainerSpec, type RegistryAuth, ServiceSpec, TaskSpec } from '../../proto/index.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import {
  type ImageReference,
  imageName,
  parseReference,
} from '../../shared/distribution/reference.ts';
import { SwarmError } from '../../shared/errors.ts';
import { authOf } from '../images/logins.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';

export interface PinOptions {
  readonly noResolveImage: boolean;
  readonly registryAuth: RegistryAuth | null;
  readonly refuseUnknownImage: boolean;
  /** The service's id, when it exists already. */
  readonly serviceId: string;
}

export interface Pinned {
  readonly spec: ServiceSpec;
  readonly warnings: readonly string[];
}

/**
 * The spec with the digest that its image stands for now, so that every node runs the same. What the
 * managers keep themselves comes first, then the registry is asked. Where it can't be asked the image
 * stays as it is, with a warning. Done before a change is written, because it takes its time.
 */
export async function pinImage(
  deps: Pick<ControlDeps, 'store' | 'registries'>,
  spec: ServiceSpec,
  options: PinOptions,
): Promise<Pinned> {
  const container = spec.task?.container;
  if (!container || options.noResolveImage) return { spec, warnings: [] };
  const reference = parseReference(container.image);
  if (reference.digest !== '') return { spec, warnings: [] };
  const kept = deps.store.view.table('image').get(imageName(reference));
  if (kept !== undefined) {
    const { digest, origin, platforms } = kept;
    const pinned = withImage(spec, reference, { digest, platforms, local: origin === 'local' });
    return { spec: pinned, warnings: [] };
  }
  try {
    const auth = authFor(deps.store.view, reference, options);
    const digest = await deps.registries.digestOf(reference, auth);
    // A registry that does not say it is no obstacle: each node finds out for itself.
    const platforms = await deps.registries.platformsOf(reference, digest, auth).catch(() => []);
    const pinned = withImage(spec, reference, { digest, platforms, local: false });
    return { spec: pinned, warnings: [] };
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (options.refuseUnknownImage && isUnknown(error, deps.store.view, reference, options))
      throw unknownImage(container.image, error);
    return { spec, warnings: [warningOf(container.image, error)] };
  }
}

function withImage(
  spec: ServiceSpec,
  reference: ImageReference,
  found: {
    readonly digest: string;
    readonly platforms: readonly string[];
    readonly local: boolean;
  },
): ServiceSpec {
  const container = spec.task!.container!;
  const named = /:[^/]*$/.test(container.image)
    ? container.image
    : `${container.image}:${reference.tag}`;
  return ServiceSpec.with(spec, {
    task: TaskSpec.with(spec.task!, {
      container: ContainerSpec.with(container, {
        image: `${named}@${found.digest}`,
        imageAsked: container.image,
        imageLocal: found.local,
        imagePlatforms: found.platforms,
      }),
    }),
  });
}

function authFor(
  view: View,
  { host }: ImageReference,
  { registryAuth, serviceId }: PinOptions,
): RegistryAuth | undefined {
  if (registryAuth?.host === host) return registryAuth;
  const own = view.table('serviceLogin').get(serviceId);
  const login = own?.host === host ? own : view.table('registryLogin').get(host);
  return login && authOf(login);
}

/** Registries that tell nobody what they have refuse instead of saying that it is not there. */
function isUnknown(
  error: ImageError,
  view: View,
  reference: ImageReference,
  options: PinOptions,
): boolean {
  if (error.code === 'IMAGE_NOT_FOUND') return true;
  return error.code === 'IMAGE_AUTH' && authFor(view, reference, options) === undefined;
}

function unknownImage(image: string, cause: ImageError): SwarmError {
  return new SwarmError('NOT_FOUND', cause.message, {
    cause,
    advice: 'Check its name, or load it: swarm image load FILE.tar.',
    details: { image },
  });
}

function warningOf(image: string, { message, temporary }: ImageError): string {
  return temporary
    ? `${image} could not be pinned to a digest: ${message}. Each node asks for itself, and nodes may ` +
        'get different images'
    : `${image} could not be pinned to a digest: ${message}`;
}
