import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VolumeAction } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import { parsePlace, talkAbout } from '../../volume-place.ts';

export const importVolume: Verb = {
  declare(command) {
    command
      .argument('<NODE:VOLUME>', 'Made where it is not there')
      .argument('[FILE]', 'A tar archive (default: -, standard input)')
      .option('--replace', 'What is in it goes')
      .addHelpText('after', '\nThe volume has all of the archive at the end, or is as it was.');
  },
  async run(context, words, flags) {
    const [text = '', from = '-'] = words;
    const { node, name } = parsePlace(text);
    if (node === undefined)
      throw new SwarmError('INVALID_ARGUMENT', 'It is not said on which node.', {
        advice: 'Write NODE:VOLUME.',
        command: 'swarm node ls',
      });
    const source = await sourceOf(context, from);
    const session = await context.connect();
    const replace = flags.is('replace');
    const talk = talkAbout(session, node, { action: VolumeAction.IMPORT, name, replace });
    try {
      await talk.started;
      // What fails at the other end says more than that it takes no more.
      const sent = pipeline(source, talk.input).catch((error: Error) => error);
      const failed = await Promise.race([talk.ended.then(() => undefined), sent]);
      if (failed instanceof Error && !SwarmError.is(failed) && source.errored !== null)
        throw failed;
      await talk.ended;
    } finally {
      talk.close();
      source.destroy();
    }
    context.io.out(`${name}\n`);
    return 0;
  },
};

async function sourceOf({ io }: Context, from: string): Promise<Readable> {
  if (from !== '-') return (await open(from)).createReadStream();
  if (!io.terminal.hasKeyboard) return io.terminal.input;
  throw new SwarmError('INVALID_ARGUMENT', 'No archive comes in.', {
    advice: 'Name a file, or send one to the standard input.',
  });
}
