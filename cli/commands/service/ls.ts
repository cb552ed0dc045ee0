import { ControlService, ServiceMode, type ServiceView } from '../../../proto/index.ts';
import { column, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { modeWord, rolloutWord } from '../../output/words.ts';
import type { Flags } from '../../spec/flags.ts';
import { listVerb } from '../list-verb.ts';
import { shortId } from '../shared-options.ts';
import { portsText, whatRuns } from './shown.ts';

export const ls = listVerb({
  method: ControlService.listServices,
  filters: ['id', 'name', 'label', 'mode', 'runtime'],
  columns: [
    column('ID', 'ID'),
    column('NAME', 'Name'),
    column('MODE', 'Mode', 1),
    column('REPLICAS', 'Replicas'),
    column('IMAGE OR COMMAND', 'Image'),
    column('PORTS', 'Ports'),
  ],
  rows: ({ services }, flags) => services.map((view) => serviceRow(view, flags)),
});

function serviceRow(view: ServiceView, flags: Flags): Row {
  const spec = view.service?.spec;
  return {
    ID: shortId(view.service?.id ?? '', flags),
    Name: printable(spec?.name ?? ''),
    Mode: modeWord(spec?.mode ?? 0),
    Replicas: replicasText(view),
    Image: whatRuns(spec?.task ?? null, flags.is('no-trunc')),
    Ports: portsText(view),
    Revision: view.service?.revision ?? 0,
    Update: rolloutWord(view.state?.rollout?.state ?? 0),
    Labels: spec?.labels ?? {},
  };
}

/** "2/3 (max 1 per node)"; jobs "0/1 (3/5 completed)". */
export function replicasText(view: ServiceView): string {
  const spec = view.service?.spec;
  const base = `${view.running}/${view.desired}`;
  if (spec?.mode === ServiceMode.REPLICATED_JOB || spec?.mode === ServiceMode.GLOBAL_JOB) {
    const total = spec.mode === ServiceMode.REPLICATED_JOB ? spec.replicas : view.desired;
    return `${base} (${view.completed}/${total} completed)`;
  }
  const most = spec?.task?.placement?.maxReplicasPerNode ?? 0;
  return most > 0 ? `${base} (max ${most} per node)` : base;
}
