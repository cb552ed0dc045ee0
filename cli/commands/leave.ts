import { LeaveRequest, LocalService } from '../../proto/index.ts';
import type { Verb } from '../command.ts';

export const leave: Verb = {
  declare(command) {
    command.option('-f, --force', 'Also a manager, and without asking the cluster');
  },
  async run(context, _words, flags) {
    const session = await context.connect();
    await session.write(LocalService.leave, LeaveRequest.create({ force: flags.is('force') }));
    context.io.out('This node left the cluster.\n');
  },
};
