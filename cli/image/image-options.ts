import type { CreateServiceRequest, Init } from '../../proto/index.ts';
import type { Context } from '../context.ts';
import type { Flags } from '../spec/flags.ts';

export type ImageOptions = Pick<
  Init<CreateServiceRequest>,
  'noResolveImage' | 'registryAuth' | 'refuseUnknownImage'
>;

/** What `--no-resolve-image` and `--with-registry-auth` say about the image of a service. */
export async function imageOptions(
  context: Context,
  flags: Flags,
  image: string,
): Promise<ImageOptions> {
  const noResolveImage = flags.is('no-resolve-image');
  if (!flags.is('with-registry-auth') || image === '') return { noResolveImage };
  const { dockerLogin } = await import('./docker-login.ts');
  const registryAuth = await dockerLogin(context.io, image);
  if (registryAuth) return { noResolveImage, registryAuth };
  context.io.err(
    `WARNING: --with-registry-auth: you have no login of the registry of ${image} (docker login)\n`,
  );
  return { noResolveImage };
}
