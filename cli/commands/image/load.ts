import { openArchive } from '../../../shared/distribution/archive.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { asSwarmError, copyImage } from '../../image/image-copy.ts';
import { collect } from '../../spec/declare-options.ts';
import { printImages } from './shown.ts';

const never = new AbortController().signal;

export const load: Verb = {
  declare(command) {
    command
      .argument('<FILE|DIRECTORY>', 'what docker save wrote, or an OCI layout')
      .option(
        '-t, --tag <NAME[:TAG]>',
        'Name of the image instead of the one it has there',
        collect,
      )
      .option('-q, --quiet', 'Print names only')
      .addHelpText(
        'after',
        '\nThe managers keep the image, and every node gets it from them: no registry is needed.\n' +
          'Example: docker save -o app.tar app:1 && swarm image load app.tar',
      );
  },
  async run(context, [path], flags) {
    const tags = flags.list('tag');
    const archive = await openArchive(path!).catch((error: unknown) => {
      throw asSwarmError(error);
    });
    try {
      if (tags.length > 0 && archive.images.length !== 1)
        throw new SwarmError(
          'INVALID_ARGUMENT',
          `--tag names one image, and there are ${archive.images.length} in ${path}.`,
          { advice: 'Leave it out: they have names there.' },
        );
      const session = await context.connect();
      for (const { names, root } of archive.images) {
        const given = tags.length > 0 ? tags : names;
        if (given.length === 0) throw nameless(path!);
        const place = {
          has: (digest: string) => archive.has(digest),
          document: (descriptor: typeof root) => archive.document(descriptor, never),
          blob: (descriptor: typeof root) => archive.blob(descriptor, 0, never),
        };
        const image = { names: given, root, origin: 'loaded' as const, ...place };
        printImages(context, await copyImage(context, session, image), 'Loaded', flags);
      }
    } catch (error) {
      throw asSwarmError(error);
    } finally {
      await archive.close();
    }
    return undefined;
  },
};

function nameless(path: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `The image in ${path} has no name.`, {
    advice: 'Give it one.',
    command: `swarm image load --tag NAME:TAG ${path}`,
  });
}
