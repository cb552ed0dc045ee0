import { ControlService, Ref } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { INTERRUPTED, waitForService } from '../../wait.ts';
import { reporter } from '../report.ts';
import { declareDetach, forEachWord } from '../shared-options.ts';

export const rm: Verb = {
  declare(command) {
    declareDetach(command.argument('<SERVICE...>'));
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const removed: { id: string; name: string }[] = [];
    let code = await forEachWord(words, reporter(context), async (ref) => {
      const { id } = await session.write(ControlService.removeService, Ref.create({ ref }));
      context.io.out(`${ref}\n`);
      removed.push({ id, name: ref });
    });
    if (flags.is('detach')) return code;
    for (const { id, name } of removed) {
      const quiet = flags.is('quiet');
      const what = { id, name, version: 0, removal: true, settleMs: 0, told: [], quiet };
      const ended = await waitForService(context, what);
      if (ended === INTERRUPTED) return ended;
      code ||= ended;
    }
    return code;
  },
};
