import { ControlService, type NodeView, Role } from '../../../proto/index.ts';
import { column, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { availabilityWord, livenessWord } from '../../output/words.ts';
import type { Flags } from '../../spec/flags.ts';
import { listVerb } from '../list-verb.ts';
import { shortId } from '../shared-options.ts';

export const ls = listVerb({
  method: ControlService.listNodes,
  filters: ['id', 'label', 'node.label', 'membership', 'name', 'role'],
  columns: [
    { heading: 'ID', cell: (row: Row) => `${row['ID']}${row['Self'] ? ' *' : ''}` },
    column('NAME', 'Hostname'),
    column('STATUS', 'Status'),
    column('AVAILABILITY', 'Availability'),
    column('MANAGER STATUS', 'ManagerStatus'),
    column('ADDRESS', 'Address', 2),
    column('TASKS', 'Tasks'),
    column('VERSION', 'EngineVersion', 1),
  ],
  rows: ({ nodes }, flags) => nodes.map((view) => nodeRow(view, flags)),
});

function nodeRow(view: NodeView, flags: Flags): Row {
  const { node, status } = view;
  return {
    ID: shortId(node?.id ?? '', flags),
    Self: view.self,
    Hostname: printable(node?.name ?? ''),
    Status: livenessWord(status?.liveness ?? 0),
    Availability: availabilityWord(node?.availability ?? 0),
    ManagerStatus: managerStatus(view),
    Address: status?.publishAddress || status?.address || '',
    Tasks: view.running,
    EngineVersion: printable(status?.description?.versionText ?? ''),
    Role: node?.role === Role.MANAGER ? 'manager' : 'worker',
  };
}

/** Leader, Reachable, Unreachable, Damaged; while it becomes or ends being a manager, the step it is at. */
export function managerStatus(view: NodeView): string {
  const { member, node } = view;
  if (!member) return node?.role === Role.MANAGER ? 'Joining' : '';
  if (view.leader) return 'Leader';
  if (member.damage !== '') return 'Damaged';
  if (member.phase !== '' && member.phase !== 'voter')
    return member.phase.charAt(0).toUpperCase() + member.phase.slice(1);
  return view.reachable ? 'Reachable' : 'Unreachable';
}
