import { ControlService, Ref } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';

export const rm: Verb = {
  declare(command) {
    command.argument('<NETWORK...>').option('-f, --force', 'No error for one that is not there');
  },
  async run(context, words, flags) {
    const session = await context.connect();
    return forEachNamed(words, reporter(context), async (ref) => {
      try {
        await session.write(ControlService.removeNetwork, Ref.create({ ref }));
      } catch (error) {
        if (!(flags.is('force') && SwarmError.is(error) && error.code === 'NOT_FOUND')) throw error;
      }
      context.io.out(`${ref}\n`);
    });
  },
};
