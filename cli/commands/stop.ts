import { Empty, LocalService } from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import { stopDaemon } from '../local-daemon.ts';

export const stop: Verb = {
  declare(command) {
    command.option('--with-tasks', 'End the tasks of this node too');
  },
  async run(context, _words, flags) {
    const session = await context.connect();
    const info = await session.read(LocalService.info, Empty.create());
    const withTasks = flags.is('with-tasks');
    await stopDaemon(context, session, { withTasks });
    const tasks = withTasks ? 'Its tasks were ended.' : 'Its tasks go on.';
    context.io.out(`The daemon (pid ${info.pid}) stopped. ${tasks}\n`);
  },
};
