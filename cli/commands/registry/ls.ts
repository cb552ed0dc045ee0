import { ControlService, ListRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { column, formatList } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { parseFilters } from '../../parse/filter.ts';
import { declareList, listOptions, warnStale } from '../shared-options.ts';

const FILTERS = ['host'];

export const ls: Verb = {
  declare(command) {
    declareList(command, FILTERS);
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const request = ListRequest.create({ filters });
    const answer = await session.read(ControlService.listRegistries, request);
    warnStale(context, answer.freshness);
    const columns = [
      column('REGISTRY', 'Host'),
      column('USER', 'Username'),
      column('CHANGED', 'Changed'),
    ];
    const nowMs = context.io.clock.wallMs();
    const rows = answer.registries.map(({ host, username, updatedWallMs }) => ({
      Host: host,
      Username: printable(username),
      Changed: relativeTime(updatedWallMs, nowMs),
    }));
    context.io.out(formatList(rows, listOptions(context, flags, columns, 'Host')));
    return undefined;
  },
};
