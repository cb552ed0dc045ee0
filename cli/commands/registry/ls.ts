import { ControlService } from '../../../proto/index.ts';
import { column } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { listVerb } from '../list-verb.ts';

export const ls = listVerb({
  method: ControlService.listRegistries,
  filters: ['host'],
  columns: [column('REGISTRY', 'Host'), column('USER', 'Username'), column('CHANGED', 'Changed')],
  rows: ({ registries }, _flags, nowMs) =>
    registries.map(({ host, username, updatedWallMs }) => ({
      Host: host,
      Username: printable(username),
      Changed: relativeTime(updatedWallMs, nowMs),
    })),
  idField: 'Host',
});
