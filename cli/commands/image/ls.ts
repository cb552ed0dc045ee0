import { ControlService, type ImageView, ListRequest } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { column, formatList, type Row } from '../../output/list.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { formatBytes } from '../../parse/bytes.ts';
import { parseFilters } from '../../parse/filter.ts';
import type { Flags } from '../../spec/flags.ts';
import { declareList, listOptions, warnStale } from '../shared-options.ts';
import { familiarName } from './shown.ts';

const FILTERS = ['name', 'digest', 'origin'];

export const ls: Verb = {
  declare(command) {
    declareList(command, FILTERS).addHelpText(
      'after',
      '\nImages that the managers keep. Those of registries are not listed: nodes pull them.',
    );
  },
  async run(context, _words, flags) {
    const filters = parseFilters(flags.list('filter'), FILTERS);
    const session = await context.connect();
    const answer = await session.read(ControlService.listImages, ListRequest.create({ filters }));
    warnStale(context, answer.freshness);
    const columns = [
      column('IMAGE', 'Name'),
      column('DIGEST', 'Digest'),
      column('ORIGIN', 'Origin'),
      column('PLATFORMS', 'Platforms'),
      column('SIZE', 'Size'),
      column('ADDED', 'Added'),
      column('SERVICES', 'Services'),
    ];
    const nowMs = context.io.clock.wallMs();
    const rows = answer.images.map((view) => imageRow(view, flags, nowMs));
    context.io.out(formatList(rows, listOptions(context, flags, columns, 'Name')));
    return undefined;
  },
};

function imageRow({ image, services }: ImageView, flags: Flags, nowMs: number): Row {
  const digest = image?.digest ?? '';
  return {
    Name: familiarName(image?.id ?? ''),
    Digest: flags.is('no-trunc') ? digest : digest.slice(0, 'sha256:'.length + 12),
    Origin: image?.origin ?? '',
    Platforms: (image?.platforms ?? []).join(','),
    Size: formatBytes(image?.totalBytes ?? 0),
    Added: relativeTime(image?.createdWallMs ?? 0, nowMs),
    Services: services.join(','),
  };
}
