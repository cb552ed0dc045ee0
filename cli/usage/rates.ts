import type { NodeUsage, TaskUsage, UsageItem } from '../../proto/index.ts';

/** What a task uses, as people read it. */
export interface TaskRate {
  readonly usage: TaskUsage;
  readonly name: string;
  readonly nodeName: string;
  /** 100 is one processor, all of the time. Undefined: seen only once. */
  readonly cpuPercent: number | undefined;
  /** Of its limit, or of the machine's memory. */
  readonly memoryPercent: number;
  readonly memoryLimitBytes: number;
}

export interface NodeRate {
  readonly name: string;
  readonly usage: NodeUsage;
  /** 100 is all processors. Undefined: seen only once. */
  readonly cpuPercent: number | undefined;
  readonly tasks: number;
}

interface Looks {
  readonly before: UsageItem | undefined;
  readonly now: UsageItem;
}

/** Makes rates of the counters that nodes tell, look by look. */
export class UsageRates {
  readonly #byNode = new Map<string, Looks>();

  take(item: UsageItem): void {
    if (item.usage === null) return;
    const { nodeId } = item.usage;
    this.#byNode.set(nodeId, { before: this.#byNode.get(nodeId)?.now, now: item });
  }
  /** By node, in the order of their names. */
  nodes(): readonly NodeRate[] {
    return this.#sorted().map(({ before, now }) => {
      const usage = now.usage!;
      const spent = rate(before?.usage?.cpuNanos, usage.cpuNanos, before?.usage, usage);
      const cpuPercent = spent === undefined ? undefined : spent / Math.max(1, usage.processors);
      return { name: now.nodeName, usage, cpuPercent, tasks: usage.tasks.length };
    });
  }
  /** In the order of their names. */
  tasks(): readonly TaskRate[] {
    const rates = this.#sorted().flatMap((looks) => tasksOf(looks));
    return rates.sort((a, b) => compareNames(a.name, b.name));
  }
  #sorted(): readonly Looks[] {
    return [...this.#byNode.values()].sort((a, b) => compareNames(a.now.nodeName, b.now.nodeName));
  }
}

function tasksOf({ before, now }: Looks): readonly TaskRate[] {
  const usage = now.usage!;
  const names = new Map(now.tasks.map(({ taskId, name }) => [taskId, name]));
  const earlier = new Map(before?.usage?.tasks.map((task) => [task.taskId, task]));
  return usage.tasks.map((task) => {
    const memoryLimitBytes = task.memoryLimitBytes || usage.memoryBytes;
    return {
      usage: task,
      name: names.get(task.taskId) ?? task.taskId,
      nodeName: now.nodeName,
      cpuPercent: rate(earlier.get(task.taskId)?.cpuNanos, task.cpuNanos, before?.usage, usage),
      memoryPercent: memoryLimitBytes > 0 ? (task.memoryBytes / memoryLimitBytes) * 100 : 0,
      memoryLimitBytes,
    };
  });
}

/** Per cent of one processor between two looks. A process that ended takes its time with it. */
function rate(
  fromNanos: number | undefined,
  toNanos: number,
  before: NodeUsage | null | undefined,
  now: NodeUsage,
): number | undefined {
  const micros = now.atMicros - (before?.atMicros ?? now.atMicros);
  if (fromNanos === undefined || micros <= 0) return undefined;
  return (Math.max(0, toNanos - fromNanos) / (micros * 1_000)) * 100;
}

/** web.2 before web.10. */
function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
