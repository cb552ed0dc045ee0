import { ControlService, type Filter, type Init, ListRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { confirmed } from '../../confirm.ts';
import type { Context } from '../../context.ts';
import { printable } from '../../output/printable.ts';
import { parseDurationMs } from '../../parse/duration.ts';
import { parseFilters } from '../../parse/filter.ts';
import { collect } from '../../spec/declare-options.ts';

const FILTERS = ['label', 'label!', 'until'];
const WHAT = 'Every network that no service and no task uses is removed.';

export const prune: Verb = {
  declare(command) {
    command
      .option('-f, --force', 'Do not ask')
      .option('--filter <KEY=VALUE>', 'Only these: label, label!, until (as in 24h)', collect);
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS).map((filter) =>
      absolute(context, filter),
    );
    const session = await context.connect();
    if (!(await confirmed(context, flags, WHAT))) return 1;
    const request = ListRequest.create({ filters });
    const { names } = await session.write(ControlService.pruneNetworks, request);
    if (names.length > 0)
      context.io.out(`Removed networks:\n${names.map((name) => `${printable(name)}\n`).join('')}`);
    return 0;
  },
};

/** "24h" ago as a moment of wall time, which is what the manager compares. */
function absolute(context: Context, filter: Init<Filter>): Init<Filter> {
  if (filter.key !== 'until') return filter;
  const agoMs = parseDurationMs('--filter until', filter.value ?? '');
  return { key: 'until', value: String(context.io.clock.wallMs() - agoMs) };
}
