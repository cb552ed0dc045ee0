import { ControlService } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { declareLogs, logsRequest, printLogs } from '../log-lines.ts';
import { taskNames } from '../service/logs.ts';

export const logs: Verb = {
  declare(command) {
    declareLogs(command.argument('<TASK>'));
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const request = logsRequest(context, words[0]!, 'task', flags);
    const nameOf = taskNames(session, flags);
    return printLogs(context, session, ControlService.logs, request, nameOf, flags);
  },
};
