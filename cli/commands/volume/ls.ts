import { ControlService, ListRequest, type VolumeView } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { column, formatList, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { parseFilters } from '../../parse/filter.ts';
import { declareList, listOptions, warnStale } from '../shared-options.ts';

const FILTERS = ['dangling', 'driver', 'label', 'name', 'node'];

export const ls: Verb = {
  declare(command) {
    declareList(command, FILTERS).addHelpText(
      'after',
      '\nNamed volumes of all nodes. Those without a name go with their tasks.',
    );
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const request = ListRequest.create({ filters });
    const answer = await session.read(ControlService.listVolumes, request);
    warnStale(context, answer.freshness);
    const columns = [
      column('DRIVER', 'Driver'),
      column('VOLUME NAME', 'Name'),
      column('NODE', 'Node'),
      column('CREATED', 'Created'),
      column('USED BY', 'UsedBy'),
    ];
    const nowMs = context.io.clock.wallMs();
    const rows = answer.volumes.map((view) => volumeRow(view, nowMs));
    context.io.out(formatList(rows, listOptions(context, flags, columns, 'Place')));
  },
};

function volumeRow({ volume, nodeName, tasks, services }: VolumeView, nowMs: number): Row {
  const name = volume?.name ?? '';
  const node = printable(nodeName);
  const users = tasks.length > 0 ? tasks : services;
  return {
    Driver: 'local',
    Name: name,
    Node: node,
    Place: `${node}:${name}`,
    Scope: 'local',
    Created: relativeTime(volume?.createdWallMs ?? 0, nowMs),
    UsedBy: printable(users.join(',')),
    Mountpoint: printable(volume?.path ?? ''),
    Labels: Object.entries(volume?.labels ?? {})
      .map(([key, value]) => printable(`${key}=${value}`))
      .join(','),
  };
}
