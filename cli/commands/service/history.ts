import { ControlService, Ref, type ServiceRevision } from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { column, formatList, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { listOptions, warnStale } from '../shared-options.ts';
import { portText, whatRuns } from './shown.ts';

export const history: Verb = {
  declare(command) {
    command
      .argument('<SERVICE>')
      .option('--format <FORMAT>', 'table, "table TEMPLATE", json or a template')
      .option('-q, --quiet', 'Only numbers of revisions')
      .option('--no-trunc', 'Whole commands');
  },
  async run(context, words, flags) {
    const session = await context.connect();
    const answer = await session.read(ControlService.getService, Ref.create({ ref: words[0]! }));
    warnStale(context, answer.freshness);
    const state = answer.service?.state;
    const newestFirst = [...answer.revisions].sort((a, b) => b.revision - a.revision);
    const now = context.io.clock.wallMs();
    const rows = newestFirst.map((revision) =>
      revisionRow(revision, state?.runningRevision ?? 0, now, flags.is('no-trunc')),
    );
    const columns = [
      {
        heading: 'REVISION',
        cell: (row: Row) => `${row['Revision']}${row['Running'] ? ' *' : ''}`,
      },
      column('CREATED', 'Created'),
      column('REPLICAS', 'Replicas'),
      column('IMAGE OR COMMAND', 'Image'),
      column('PORTS', 'Ports'),
      column('NOTE', 'Note'),
    ];
    context.io.out(formatList(rows, listOptions(context, flags, columns, 'Revision')));
  },
};

function revisionRow(row: ServiceRevision, running: number, now: number, whole: boolean): Row {
  return {
    Revision: row.revision,
    Running: row.revision === running,
    Created: relativeTime(row.createdWallMs, now),
    Replicas: row.spec?.replicas ?? 0,
    Image: whatRuns(row.spec?.task ?? null, whole),
    Ports: (row.spec?.endpoint?.ports ?? []).map(portText).join(', '),
    Note: printable(row.note),
  };
}
