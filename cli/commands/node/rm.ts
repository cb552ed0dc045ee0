import { ControlService, RemoveNodeRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';

export const rm: Verb = {
  declare(command) {
    command.argument('<NODE...>').option('-f, --force', 'Also a node that is up');
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const force = flags.is('force');
    return forEachNamed(words, reporter(context), async (ref) => {
      await session.write(ControlService.removeNode, RemoveNodeRequest.create({ ref, force }));
      context.io.out(`${ref}\n`);
    });
  },
};
