import { VolumeAction } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { doWith, oneVolume, parsePlace } from '../../volume-place.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';

export const rm: Verb = {
  declare(command) {
    command
      .argument('<VOLUME...>', 'Name, or NODE:NAME where several nodes have it')
      .option('--node <NODE>', 'Of this node')
      .option('-f, --force', 'No error for one that is not there');
  },
  async run(context, words, flags) {
    const session = await context.connect();
    return forEachNamed(words, reporter(context), async (word) => {
      const place = parsePlace(word);
      try {
        const view = await oneVolume(session, { ...place, node: place.node ?? flags.text('node') });
        const request = { action: VolumeAction.REMOVE, name: place.name };
        await doWith(session, view.nodeId, request);
      } catch (error) {
        if (!(flags.is('force') && SwarmError.is(error) && error.code === 'NOT_FOUND')) throw error;
      }
      context.io.out(`${word}\n`);
    });
  },
};
