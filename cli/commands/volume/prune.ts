import {
  ControlService,
  ListRequest,
  VolumeAction,
  type VolumeView,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { confirmed } from '../../confirm.ts';
import { printable } from '../../output/printable.ts';
import { parseFilters } from '../../parse/filter.ts';
import { collect } from '../../spec/declare-options.ts';
import { doWith } from '../../volume-place.ts';
import { reporter } from '../report.ts';
import { forEachNamed } from '../shared-options.ts';

const FILTERS = ['label', 'name', 'node'];

export const prune: Verb = {
  declare(command) {
    command
      .option('-a, --all', 'Also those with names: all that no service and no task uses')
      .option('-f, --force', 'Do not ask')
      .option('--filter <KEY=VALUE>', `Only these: ${FILTERS.join(', ')}`, collect)
      .addHelpText(
        'after',
        '\nVolumes without names go with their tasks: there are none to prune.',
      );
  },
  async run(context, _words, flags) {
    const asked = parseFilters(flags.list('filter'), FILTERS);
    if (!flags.is('all')) {
      context.io.err(
        'Volumes without names go with their tasks. --all removes those with names.\n',
      );
      return 0;
    }
    const session = await context.connect();
    const filters = [...asked, { key: 'dangling', value: 'true' }];
    const request = ListRequest.create({ filters });
    const { volumes } = await session.read(ControlService.listVolumes, request);
    if (volumes.length === 0) return 0;
    const places = volumes.map((view) => `\n  ${placeOf(view)}`).join('');
    const what = `These volumes are removed with all that is in them:${places}`;
    if (!(await confirmed(context, flags, what))) return 1;
    return forEachNamed(volumes, reporter(context), async (view) => {
      const { name } = view.volume!;
      await doWith(session, view.nodeId, { action: VolumeAction.REMOVE, name });
      context.io.out(`${placeOf(view)}\n`);
    });
  },
};

function placeOf({ nodeName, volume }: VolumeView): string {
  return `${printable(nodeName)}:${volume?.name ?? ''}`;
}
