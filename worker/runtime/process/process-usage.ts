import { type AssignedTask, TaskUsage } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';
import { type ProcessRow, processTable, treeOf } from '../process-tree.ts';

/** What /proc counts processor time in, on every Linux. */
const NANOS_PER_TICK = 10_000_000;

/** A task of this node and the process at the top of everything that belongs to it. */
export interface UsageRoot {
  readonly task: AssignedTask;
  readonly pid: number;
  /** Process 1 of its namespace: what lost its parent is its child. It does not count itself. */
  readonly supervisor: number | undefined;
}

/**
 * What process tasks use, from one look at /proc: the sums over their processes. Memory is resident
 * memory, so what several processes share counts for each of them.
 */
export function usageOfProcesses(io: Io, roots: readonly UsageRoot[]): readonly TaskUsage[] {
  if (roots.length === 0) return [];
  const table = processTable(io);
  const page = pageBytes(io);
  return roots.map(({ task, pid, supervisor }) => {
    const rows = treeOf(table, supervisor ?? pid).filter((row) => row.pid !== supervisor);
    const sum = (field: (row: ProcessRow) => number): number =>
      rows.reduce((total, row) => total + field(row), 0);
    return TaskUsage.create({
      taskId: task.id,
      cpuNanos: sum((row) => row.cpuTicks) * NANOS_PER_TICK,
      memoryBytes: sum((row) => residentPages(io, row.pid)) * page,
      memoryLimitBytes: task.spec?.limits?.memoryBytes ?? 0,
      processes: rows.length,
    });
  });
}

/** Not from `stat`: there the kernel leaves out what each processor has not summed up yet. */
function residentPages(io: Io, pid: number): number {
  const text = io.read(`/proc/${pid}/statm`)?.toString('utf8') ?? '';
  return Number(text.split(' ')[1] ?? 0);
}

const AT_PAGESZ = 6n;

/** From what the kernel gives every process at its start: pairs of 64 bits. */
function pageBytes(io: Io): number {
  const auxiliary = io.read('/proc/self/auxv') ?? Buffer.alloc(0);
  for (let at = 0; at + 16 <= auxiliary.length; at += 16) {
    if (auxiliary.readBigUInt64LE(at) === AT_PAGESZ)
      return Number(auxiliary.readBigUInt64LE(at + 8));
  }
  return 4_096;
}
