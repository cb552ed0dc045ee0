import { ControlService, ListRequest, Ref, type TaskView } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { formatList } from '../../output/list.ts';
import { warn } from '../../output/warning.ts';
import { parseFilters } from '../../parse/filter.ts';
import { reporter } from '../report.ts';
import { declareList, forEachNamed, listOptions, warnStale } from '../shared-options.ts';
import { TASK_COLUMNS, taskRows } from '../task-rows.ts';

const FILTERS = ['id', 'name', 'node', 'desired-state'];

export const ps: Verb = {
  declare(command) {
    declareList(command.argument('<SERVICE...>'), FILTERS).option(
      '--no-resolve',
      'Ids of nodes, not names',
    );
  },
  async run(context, words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const tasks: TaskView[] = [];
    const code = await forEachNamed(words, reporter(context), async (ref) => {
      const answer = await session.read(ControlService.getService, Ref.create({ ref }));
      const view = answer.service!;
      if (!flags.is('quiet')) warn(context, view.warnings);
      const { id } = view.service!;
      const listed = await session.read(
        ControlService.listTasks,
        ListRequest.create({ filters: [...filters, { key: 'service', value: id }] }),
      );
      warnStale(context, listed.freshness);
      tasks.push(...listed.tasks);
    });
    const rows = taskRows(tasks, flags, context.io.clock.wallMs());
    if (rows.length > 0 || code === 0)
      context.io.out(formatList(rows, listOptions(context, flags, TASK_COLUMNS)));
    return code;
  },
};
