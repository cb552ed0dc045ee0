import { ControlService, ListRequest, Ref, type TaskView } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { formatList } from '../../output/list.ts';
import { parseFilters } from '../../parse/filter.ts';
import { reporter } from '../report.ts';
import { declareList, forEachNamed, listOptions, warnStale } from '../shared-options.ts';
import { TASK_COLUMNS, taskRows } from '../task-rows.ts';
import { selfRef } from './self.ts';

const FILTERS = ['id', 'name', 'label', 'desired-state'];

export const ps: Verb = {
  declare(command) {
    declareList(command.argument('[NODE...]', 'default: self'), FILTERS).option(
      '--no-resolve',
      'Ids of nodes, not names',
    );
  },
  async run(context, words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const tasks: TaskView[] = [];
    const nodes = words.length === 0 ? ['self'] : words;
    const code = await forEachNamed(nodes, reporter(context), async (word) => {
      const ref = await selfRef(session, word);
      const { node } = await session.read(ControlService.getNode, Ref.create({ ref }));
      const listed = await session.read(
        ControlService.listTasks,
        ListRequest.create({ filters: [...filters, { key: 'node', value: node!.node!.id }] }),
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
