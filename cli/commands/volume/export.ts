import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { VolumeAction } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { oneVolume, parsePlace, talkAbout } from '../../volume-place.ts';

export const exportVolume: Verb = {
  declare(command) {
    command
      .argument('<VOLUME>', 'NODE:NAME, or the name where one node has it')
      .argument('[FILE]', 'A tar archive (default: -, standard output)')
      .addHelpText('after', '\nWhat writes to it meanwhile may be seen half-way: stop it before.');
  },
  async run(context, words) {
    const [text = '', to = '-'] = words;
    const { terminal, isTerminal } = context.io;
    if (to === '-' && isTerminal)
      throw new SwarmError('INVALID_ARGUMENT', 'An archive is nothing for a terminal.', {
        advice: 'Name a file, or send the output to one.',
      });
    const session = await context.connect();
    const place = parsePlace(text);
    const { nodeId } = await oneVolume(session, place);
    const talk = talkAbout(session, nodeId, { action: VolumeAction.EXPORT, name: place.name });
    // Whoever looks finds the whole archive or none.
    const beside = `${to}.part`;
    try {
      await talk.started;
      if (to === '-') await pipeline(talk.output, terminal.output, { end: false });
      else await pipeline(talk.output, createWriteStream(beside, { mode: 0o600 }));
      await talk.ended;
      if (to !== '-') await rename(beside, to);
    } catch (error) {
      if (to !== '-') await rm(beside, { force: true });
      throw error;
    } finally {
      talk.close();
    }
    return 0;
  },
};
