import type { Io } from '../io.ts';

/** One process as /proc/PID/stat tells it. */
export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  /** Clock ticks since boot; with the pid it names one process. */
  readonly start: string;
  /** Spent by it and by its children that have ended, in clock ticks. */
  readonly cpuTicks: number;
  readonly threads: number;
}

/** All processes of the machine, in one look. What ends meanwhile is left out, as are zombies. */
export function processTable(io: Io): ReadonlyMap<number, ProcessRow> {
  const table = new Map<number, ProcessRow>();
  for (const name of io.list('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const row = parseStat(io.read(`/proc/${name}/stat`)?.toString('utf8') ?? '');
    if (row !== undefined) table.set(row.pid, row);
  }
  return table;
}

/** The name in brackets may hold spaces and brackets: fields are counted after the last one. */
function parseStat(text: string): ProcessRow | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const number = (at: number): number => Number(fields[at - 3] ?? 0);
  const [state = ''] = fields;
  if (text === '' || state === 'Z' || state === 'X') return undefined;
  return {
    pid: Number.parseInt(text, 10),
    parent: number(4),
    start: fields[22 - 3] ?? '',
    cpuTicks: number(14) + number(15) + number(16) + number(17),
    threads: number(20),
  };
}

/** A process and everything that it started and what these started, as far as it is still theirs. */
export function treeOf(table: ReadonlyMap<number, ProcessRow>, root: number): ProcessRow[] {
  const children = new Map<number, ProcessRow[]>();
  for (const row of table.values()) {
    const siblings = children.get(row.parent) ?? [];
    siblings.push(row);
    children.set(row.parent, siblings);
  }
  const first = table.get(root);
  const found = first === undefined ? [] : [first];
  for (let at = 0; at < found.length; at++) found.push(...(children.get(found[at]!.pid) ?? []));
  return found;
}
