import { ControlService, GetTaskResponse, Ref } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
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
      objects.push(flat(answer));
    }
    printInspect(context, objects, flags);
  },
};

/** The task row with spec and status beside its own fields, as Docker shows tasks. */
function flat(answer: GetTaskResponse): unknown {
  const { task: view, spec } = GetTaskResponse.toJson(answer) as {
    task: { task: object; status: unknown; state: unknown; serviceName: string; nodeName: string };
    spec: unknown;
  };
  const { task, ...rest } = view;
  return { ...task, ...rest, spec };
}
