import type { Verb } from '../command.ts';
import { formatList } from '../output/list.ts';
import { USAGE_COLUMNS, usageRow } from '../usage/rows.ts';
import { watchUsage } from '../usage/watch.ts';
import { listOptions } from './shared-options.ts';

export const stats: Verb = {
  declare(command) {
    command
      .argument('[TASK|SERVICE|NODE...]')
      .option('--no-stream', 'Show it once')
      .option('--format <FORMAT>', 'table, "table TEMPLATE", json or a template such as {{.Name}}')
      .option('--no-trunc', 'Whole ids');
  },
  async run(context, words, flags) {
    const options = listOptions(context, flags, USAGE_COLUMNS);
    return watchUsage(context, {
      refs: words,
      once: flags.is('no-stream'),
      signal: context.io.onInterrupt(),
      show: (rates) => {
        const rows = rates.tasks().map((rate) => usageRow(rate, flags.is('no-trunc')));
        return formatList(rows, options);
      },
    });
  },
};
