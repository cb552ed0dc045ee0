import {
  ControlService,
  GetTaskResponse,
  Ref,
  TaskState,
  TaskStatus,
  TaskView,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Verb } from '../../command.ts';
import type { Context } from '../../context.ts';
import type { Session } from '../../session.ts';
import { TaskTalk } from '../../task-talk.ts';
import { declareInspect, printInspect, warnStale } from '../shared-options.ts';

export const inspect: Verb = {
  declare(command) {
    declareInspect(command.argument('<TASK...>'));
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const objects: unknown[] = [];
    for (const ref of words) {
      const answer = await session.read(ControlService.getTask, Ref.create({ ref }));
      warnStale(context, answer.freshness);
      objects.push(flat(await withDetails(context, session, answer)));
    }
    printInspect(context, objects, flags);
  },
};

/** A node that does not answer by then is not waited for. */
const DETAILS_MS = 3_000;
const LAST_LINES = 10;

/** With what only the task's own node knows, while it runs: health outputs, last lines. */
async function withDetails(
  { io }: Context,
  session: Session,
  answer: GetTaskResponse,
): Promise<GetTaskResponse> {
  const { task: view } = answer;
  const runs = view?.state === TaskState.RUNNING || view?.state === TaskState.STARTING;
  if (!view?.task || !view.status || !runs) return answer;
  const talk = new TaskTalk(session, view.task.id, { status: { lastLines: LAST_LINES } });
  const timer = io.clock.setTimer(DETAILS_MS, () => talk.close());
  try {
    const { status } = await talk.started;
    if (status === null) return answer;
    const { healthLog, lastLines } = status;
    const detailed = TaskStatus.with(view.status, { healthLog, lastLines });
    return GetTaskResponse.with(answer, { task: TaskView.with(view, { status: detailed }) });
  } catch (error) {
    if (!SwarmError.is(error)) throw error;
    io.err(`WARNING: node ${view.nodeName} is not heard: only what managers keep is shown\n`);
    return answer;
  } finally {
    timer.cancel();
    talk.close();
  }
}

/** The task row with spec and status beside its own fields, as Docker shows tasks. */
function flat(answer: GetTaskResponse): unknown {
  const { task: view, spec } = GetTaskResponse.toJson(answer) as {
    task: { task: object; status: unknown; state: unknown; serviceName: string; nodeName: string };
    spec: unknown;
  };
  const { task, ...rest } = view;
  return { ...task, ...rest, spec };
}
