import { ControlService, type VolumeView } from '../../../proto/index.ts';
import { column, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { listVerb } from '../list-verb.ts';

export const ls = listVerb({
  method: ControlService.listVolumes,
  filters: ['dangling', 'driver', 'label', 'name', 'node'],
  columns: [
    column('DRIVER', 'Driver'),
    column('VOLUME NAME', 'Name'),
    column('NODE', 'Node'),
    column('CREATED', 'Created'),
    column('USED BY', 'UsedBy'),
  ],
  rows: ({ volumes }, _flags, nowMs) => volumes.map((view) => volumeRow(view, nowMs)),
  idField: 'Place',
  declare(command) {
    command.addHelpText(
      'after',
      '\nNamed volumes of all nodes. Those without a name go with their tasks.',
    );
  },
});

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
