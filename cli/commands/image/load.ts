import type { Readable } from 'node:stream';
import { openArchive } from '../../../shared/distribution/archive.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { type ArchiveFile, archiveFile } from '../../image/archive-file.ts';
import { asSwarmError, copyImage } from '../../image/image-copy.ts';
import { collect } from '../../spec/declare-options.ts';
import type { Flags } from '../../spec/flags.ts';
import { INTERRUPTED } from '../../wait.ts';
import { printImages } from './shown.ts';

const never = new AbortController().signal;
const STDIN = 'standard input';

export const load: Verb = {
  declare(command) {
    command
      .argument('[FILE|DIRECTORY]', 'what docker save wrote, or an OCI layout; -: standard input')
      .option('-i, --input <FILE>', 'As FILE')
      .option(
        '-t, --tag <NAME[:TAG]>',
        'Name of the image instead of the one it has there',
        collect,
      )
      .option('-q, --quiet', 'Print names only')
      .addHelpText(
        'after',
        '\nThe managers keep the image, and every node gets it from them: no registry is needed.\n' +
          'Example: docker save app:1 | swarm image load',
      );
  },
  async run(context, [operand], flags) {
    const from = sourceOf(context, operand ?? flags.text('input') ?? '-');
    const signal = context.io.onInterrupt();
    let file: ArchiveFile | undefined;
    try {
      file = await archiveFile(from, signal);
      await loadFrom(context, file.path, typeof from === 'string' ? from : STDIN, flags);
      return undefined;
    } catch (error) {
      if (signal.aborted) return INTERRUPTED;
      throw asSwarmError(error);
    } finally {
      await file?.remove();
    }
  },
};

function sourceOf({ io }: Context, path: string): string | Readable {
  if (path !== '-') return path;
  if (!io.terminal.hasKeyboard) return io.terminal.input;
  throw new SwarmError('INVALID_ARGUMENT', 'Nothing is piped in, and no file is named.', {
    advice: 'Give a file or directory, or pipe one in.',
    command: 'docker save app:1 | swarm image load',
  });
}

/** `shown`: what people call the file. */
async function loadFrom(
  context: Context,
  path: string,
  shown: string,
  flags: Flags,
): Promise<void> {
  const tags = flags.list('tag');
  const archive = await openArchive(path);
  try {
    if (tags.length > 0 && archive.images.length !== 1)
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `--tag names one image, and there are ${archive.images.length} in ${shown}.`,
        { advice: 'Leave it out: they have names there.' },
      );
    const session = await context.connect();
    for (const { names, root } of archive.images) {
      const given = tags.length > 0 ? tags : names;
      if (given.length === 0) throw nameless(shown);
      const place = {
        has: (digest: string) => archive.has(digest),
        document: (descriptor: typeof root) => archive.document(descriptor, never),
        blob: (descriptor: typeof root) => archive.blob(descriptor, 0, never),
      };
      const image = { names: given, root, origin: 'loaded' as const, ...place };
      printImages(context, await copyImage(context, session, image), 'Loaded', flags);
    }
  } finally {
    await archive.close();
  }
}

function nameless(shown: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `The image in ${shown} has no name.`, {
    advice: 'Give it one.',
    command: `swarm image load --tag NAME:TAG ${shown === STDIN ? '-' : shown}`,
  });
}
