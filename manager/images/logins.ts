import { RegistryAuth, type RegistryLogin } from '../../proto/index.ts';
import { type ImageReference, parseReference } from '../../shared/distribution/reference.ts';
import type { View } from '../store/view.ts';

/** The login for an image: the one that came with the service, else the cluster's for its registry. */
export function loginFor(view: View, serviceId: string, image: string): RegistryAuth | null {
  const host = referenceOf(image)?.host;
  if (host === undefined) return null;
  const own = view.table('serviceLogin').get(serviceId);
  const login = own?.host === host ? own : view.table('registryLogin').get(host);
  return login === undefined ? null : authOf(login);
}

export function authOf({ host, username, password }: RegistryLogin): RegistryAuth {
  return RegistryAuth.create({ host, username, password });
}

/** Undefined for a text that names no image. */
export function referenceOf(image: string): ImageReference | undefined {
  try {
    return parseReference(image);
  } catch {
    return undefined;
  }
}
