import { ControlService, Ref } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { INTERRUPTED, waitForService } from '../../wait.ts';
import { reporter } from '../report.ts';
import { declareDetach, forEachNamed } from '../shared-options.ts';

export const rm: Verb = {
  declare(command) {
    declareDetach(command.argument('<SERVICE...>'));
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const report = reporter(context);
    const removed: { id: string; name: string }[] = [];
    const code = await forEachNamed(words, report, async (ref) => {
      const { id } = await session.write(ControlService.removeService, Ref.create({ ref }));
      context.io.out(`${ref}\n`);
      removed.push({ id, name: ref });
    });
    if (flags.is('detach')) return code;
    let isInterrupted = false;
    const waited = await forEachNamed(removed, report, async ({ id, name }) => {
      if (isInterrupted) return;
      const quiet = flags.is('quiet');
      const what = { id, name, version: 0, removal: true, settleMs: 0, told: [], quiet };
      isInterrupted = (await waitForService(context, what)) === INTERRUPTED;
    });
    return isInterrupted ? INTERRUPTED : code || waited;
  },
};
