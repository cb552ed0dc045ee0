import { ControlService, type ImageView } from '../../../proto/index.ts';
import { column, type Row } from '../../output/list.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { formatBytes } from '../../parse/bytes.ts';
import type { Flags } from '../../spec/flags.ts';
import { listVerb } from '../list-verb.ts';
import { familiarName } from './shown.ts';

export const ls = listVerb({
  method: ControlService.listImages,
  filters: ['name', 'digest', 'origin'],
  columns: [
    column('IMAGE', 'Name'),
    column('DIGEST', 'Digest'),
    column('ORIGIN', 'Origin'),
    column('PLATFORMS', 'Platforms'),
    column('SIZE', 'Size'),
    column('ADDED', 'Added'),
    column('SERVICES', 'Services'),
  ],
  rows: ({ images }, flags, nowMs) => images.map((view) => imageRow(view, flags, nowMs)),
  idField: 'Name',
  declare(command) {
    command.addHelpText(
      'after',
      '\nImages that the managers keep. Those of registries are not listed: nodes pull them.',
    );
  },
});

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
