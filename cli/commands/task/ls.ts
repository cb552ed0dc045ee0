import { ControlService } from '../../../proto/index.ts';
import { listVerb } from '../list-verb.ts';
import { TASK_COLUMNS, taskRows } from '../task-rows.ts';

export const ls = listVerb({
  method: ControlService.listTasks,
  filters: ['id', 'name', 'service', 'node', 'label', 'desired-state'],
  columns: TASK_COLUMNS,
  rows: ({ tasks }, flags, nowMs) => taskRows(tasks, flags, nowMs),
  declare(command) {
    command.option('--no-resolve', 'Ids of nodes, not names');
  },
});
