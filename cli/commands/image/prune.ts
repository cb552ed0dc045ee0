import { ControlService, PruneImagesRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { confirmed } from '../../confirm.ts';
import { formatBytes } from '../../parse/bytes.ts';
import { parseFilters } from '../../parse/filter.ts';
import { collect } from '../../spec/declare-options.ts';
import { familiarName } from './shown.ts';

const FILTERS = ['name', 'digest', 'origin'];
const WHAT = 'Every image that no service uses is removed from the managers.';

export const prune: Verb = {
  declare(command) {
    command
      .option('-f, --force', 'Do not ask')
      .option('--filter <KEY=VALUE>', `Only these: ${FILTERS.join(', ')}`, collect)
      .addHelpText(
        'after',
        '\nRemoves what no service uses; what a service may roll back to stays. The managers delete\n' +
          'the files within twenty minutes.',
      );
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    if (!(await confirmed(context, flags, WHAT))) return 1;
    const request = PruneImagesRequest.create({ filters });
    const { names, bytes } = await session.write(ControlService.pruneImages, request);
    for (const name of names) context.io.out(`Removed ${familiarName(name)}\n`);
    context.io.out(`${formatBytes(bytes)} freed\n`);
    return undefined;
  },
};
