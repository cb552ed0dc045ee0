import { SwarmError } from '../../shared/errors.ts';
import type { Context } from '../context.ts';
import type { Session } from '../session.ts';

/**
 * Does `attempt`, and where the registry of the image does not have it, copies this machine's own to
 * the managers and does it again. After a definite answer only: a registry that is silent may have it.
 */
export async function withLocalImage<T>(
  context: Context,
  session: Session,
  image: string,
  attempt: (refuseUnknownImage: boolean) => Promise<T>,
): Promise<T> {
  if (image === '') return attempt(false);
  try {
    return await attempt(true);
  } catch (error) {
    if (!SwarmError.is(error) || error.code !== 'NOT_FOUND' || error.details['image'] !== image)
      throw error;
  }
  // Loaded here: it is seldom needed, and every command is to start fast.
  const { copyFromDocker } = await import('./local-image.ts');
  const copied = await copyFromDocker(context, session, image, 'local');
  if (copied !== undefined)
    context.io.err(
      `${image} is in no registry: this machine's own was copied to the managers ` +
        `(${copied[0]?.image?.digest}).\n`,
    );
  return attempt(false);
}
