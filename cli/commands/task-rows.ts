import { Protocol, TaskState, type TaskView } from '../../proto/index.ts';
import { column, type Row } from '../output/list.ts';
import { printable } from '../output/printable.ts';
import { relativeTime } from '../output/relative-time.ts';
import { truncate } from '../output/table.ts';
import { stateWord } from '../output/words.ts';
import { formatBytes } from '../parse/bytes.ts';
import type { Flags } from '../spec/flags.ts';

/** Columns of every list of tasks, Docker's. */
export const TASK_COLUMNS = [
  column('ID', 'ID'),
  // Older tasks of a slot are set in under its newest one.
  { heading: 'NAME', cell: (row: Row) => `${row['Older'] ? ' \\_ ' : ''}${row['Name']}` },
  column('IMAGE OR COMMAND', 'Image', 3),
  column('NODE', 'Node'),
  column('DESIRED STATE', 'DesiredState', 2),
  column('CURRENT STATE', 'CurrentState'),
  column('ERROR', 'Error'),
  column('PORTS', 'Ports', 1),
];

/** Newest first within a slot; older tasks of a slot are set in with "\_". */
export function taskRows(views: readonly TaskView[], flags: Flags, nowMs: number): readonly Row[] {
  const sorted = [...views].sort(byPlace);
  return sorted.map((view, i) => {
    const before = sorted[i - 1];
    const isOlder = before !== undefined && placeOf(before) === placeOf(view);
    return taskRow(view, isOlder, flags, nowMs);
  });
}

function byPlace(a: TaskView, b: TaskView): number {
  const placeA = placeOf(a);
  const placeB = placeOf(b);
  const slots = (a.task?.slot ?? 0) - (b.task?.slot ?? 0);
  if (a.serviceName !== b.serviceName) return a.serviceName < b.serviceName ? -1 : 1;
  if (slots !== 0) return slots;
  if (placeA !== placeB) return placeA < placeB ? -1 : 1;
  return (b.task?.createdMs ?? 0) - (a.task?.createdMs ?? 0);
}

/** Slot of a replicated service; node of a global one. */
function placeOf(view: TaskView): string {
  const slot = view.task?.slot ?? 0;
  return `${view.task?.serviceId}.${slot > 0 ? slot : (view.task?.nodeId ?? '')}`;
}

/** "web.1" or, of a global service, "web.NODE". */
export function taskName(view: TaskView): string {
  const slot = view.task?.slot ?? 0;
  const last = slot > 0 ? String(slot) : view.nodeName || (view.task?.nodeId ?? '').slice(0, 12);
  return last === '' ? view.serviceName : `${view.serviceName}.${last}`;
}

function taskRow(view: TaskView, isOlder: boolean, flags: Flags, nowMs: number): Row {
  const whole = flags.is('no-trunc');
  const id = view.task?.id ?? '';
  const name = printable(taskName(view));
  const atMs = view.status?.atWallMs || view.task?.createdWallMs || 0;
  const node = flags.is('no-resolve') ? (view.task?.nodeId ?? '') : view.nodeName;
  return {
    ID: whole ? id : id.slice(0, 12),
    Name: name,
    Older: isOlder,
    Image: whole ? printable(view.image) : truncate(printable(view.image), 30),
    Node: printable(node),
    DesiredState: stateWord(view.task?.desiredState ?? 0),
    CurrentState: `${stateWord(view.state)} ${relativeTime(atMs, nowMs)}${pullText(view, whole)}`,
    Error: errorText(view, whole),
    Ports: portsText(view),
    Slot: view.task?.slot ?? 0,
    ServiceID: view.task?.serviceId ?? '',
    NodeID: view.task?.nodeId ?? '',
    Revision: view.task?.revision ?? 0,
  };
}

/** How far its image is, or what keeps it; with the layers under way where nothing is to be cut. */
function pullText({ status, state }: TaskView, whole: boolean): string {
  const said = status?.message ?? '';
  if (state !== TaskState.PREPARING || !status || said === 'preparing') return '';
  const open = status.layers.filter(({ what }) => what !== 'done');
  const layers = open
    .slice(0, LAYERS_SHOWN_MAX)
    .map(
      ({ digest, doneBytes, totalBytes, what }) =>
        `${digest.slice('sha256:'.length, 'sha256:'.length + 12)} ${what} ` +
        `${formatBytes(doneBytes)}/${formatBytes(totalBytes)}`,
    );
  const more = open.length - layers.length;
  if (more > 0) layers.push(`and ${more} more`);
  const text = printable(said);
  // The image has a column of its own: a long name would leave no room for how far it is.
  if (!whole) return `: ${truncate(text.replace(/^(pulling|unpacking) \S+: /, '$1 '), 60)}`;
  return `: ${text}${layers.length > 0 ? ` (${layers.join('; ')})` : ''}`;
}

const LAYERS_SHOWN_MAX = 20;

/** What went wrong, why it waits, or why the cluster ended it: in this order. */
function errorText(view: TaskView, whole: boolean): string {
  const pending = (view.task?.pendingReason ?? '').replace(/^[\w-]+\|/, '');
  const text = view.status?.err || pending || view.task?.endReason || '';
  if (text === '') return '';
  const quoted = `"${printable(text)}"`;
  return whole ? quoted : truncate(quoted, 50);
}

function portsText({ ports }: TaskView): string {
  return ports
    .map(({ host, port, target, protocol }) => {
      const word = protocol === Protocol.UDP ? 'udp' : 'tcp';
      return `${host === '' ? '*' : host}:${port}->${target}/${word}`;
    })
    .join(', ');
}
