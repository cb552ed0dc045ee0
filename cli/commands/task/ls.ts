import { ControlService, ListRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { formatList } from '../../output/list.ts';
import { parseFilters } from '../../parse/filter.ts';
import { declareList, listOptions, warnStale } from '../shared-options.ts';
import { TASK_COLUMNS, taskRows } from '../task-rows.ts';

const FILTERS = ['id', 'name', 'service', 'node', 'label', 'desired-state'];

export const ls: Verb = {
  declare(command) {
    declareList(command, FILTERS).option('--no-resolve', 'Ids of nodes, not names');
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const answer = await session.read(ControlService.listTasks, ListRequest.create({ filters }));
    warnStale(context, answer.freshness);
    const rows = taskRows(answer.tasks, flags, context.io.clock.wallMs());
    context.io.out(formatList(rows, listOptions(context, flags, TASK_COLUMNS)));
  },
};
