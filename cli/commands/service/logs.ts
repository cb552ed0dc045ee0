import {
  ControlService,
  ListRequest,
  type LogRecord,
  type TaskView,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { printable } from '../../output/printable.ts';
import type { Session } from '../../session.ts';
import type { Flags } from '../../spec/flags.ts';
import { declareLogs, logsRequest, printLogs } from '../log-lines.ts';
import { taskName } from '../task-rows.ts';

export const logs: Verb = {
  declare(command) {
    declareLogs(command.argument('<SERVICE|TASK>'));
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const request = logsRequest(context, words[0]!, '', flags);
    const nameOf = taskNames(session, flags);
    return printLogs(context, session, ControlService.logs, request, nameOf, flags);
  },
};

/** "web.1.abc123@node": asked for once for each task that speaks. */
export function taskNames(session: Session, flags: Flags): (record: LogRecord) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  return (record) => {
    const { taskId, nodeId } = record;
    let name = known.get(taskId);
    if (name === undefined) {
      name = lookUp(session, taskId).then((view) => label(view, taskId, nodeId, flags));
      known.set(taskId, name);
    }
    return name;
  };
}

async function lookUp(session: Session, taskId: string): Promise<TaskView | undefined> {
  const request = ListRequest.create({ filters: [{ key: 'id', value: taskId }] });
  // A task whose row is gone still has logs: its id is its name then.
  const answer = await session.read(ControlService.listTasks, request).catch(() => undefined);
  return answer?.tasks[0];
}

function label(view: TaskView | undefined, taskId: string, nodeId: string, flags: Flags): string {
  const id = flags.is('no-trunc') ? taskId : taskId.slice(0, 12);
  if (view === undefined) return `${id}@${nodeId.slice(0, 12)}`;
  const withId = flags.is('no-task-ids') ? '' : `.${id}`;
  return printable(`${taskName(view)}${withId}@${view.nodeName}`);
}
