import {
  type AssignedTask,
  type Init,
  NodeUsage,
  type TaskUsage,
  type UsageRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Io } from '../io.ts';
import type { Wire } from './streams.ts';

export interface UsageDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly nodeId: string;
  readonly tasks: () => readonly AssignedTask[];
  readonly usage: (tasks: readonly AssignedTask[]) => Promise<readonly TaskUsage[]>;
}

/** Rates are differences: once means two looks. */
const LOOKS_OF_ONE = 2;

/** Tells look by look what tasks and the machine use, until nobody listens. */
export async function serveUsage(
  deps: UsageDeps,
  request: UsageRequest,
  wire: Wire,
): Promise<void> {
  const { io, clock, nodeId } = deps;
  const intervalMs = Math.max(request.intervalMs, LIMITS.usageIntervalMinMs);
  for (let looks = 1; !wire.signal.aborted; looks++) {
    const tasks = await deps.usage(deps.tasks().filter((task) => isWanted(task, request)));
    const atMicros = Math.round(clock.monotonicMs() * 1_000);
    const usage = NodeUsage.create({ nodeId, atMicros, ...machineUsage(io) });
    wire.send({ usage: NodeUsage.with(usage, { tasks }) });
    if (request.once && looks === LOOKS_OF_ONE) return;
    await wire.sent();
    await pause(clock, intervalMs, wire.signal);
  }
}

function isWanted(task: AssignedTask, { taskIds, serviceIds }: UsageRequest): boolean {
  if (taskIds.length === 0 && serviceIds.length === 0) return true;
  return taskIds.includes(task.id) || serviceIds.includes(task.serviceId);
}

/** What /proc counts processor time in. */
const NANOS_PER_TICK = 10_000_000;

function machineUsage(io: Io): Init<NodeUsage> {
  const stat = io.read('/proc/stat')?.toString('utf8') ?? '';
  const memory = io.read('/proc/meminfo')?.toString('utf8') ?? '';
  const ticks = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(Number);
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, stolen = 0] = ticks;
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(memory)?.[1] ?? 0) * 1_024;
  return {
    memoryBytes: bytesOf('MemTotal'),
    memoryUsedBytes: bytesOf('MemTotal') - bytesOf('MemAvailable'),
    cpuNanos: (user + nice + system + interrupts + soft + stolen) * NANOS_PER_TICK,
    processors: (stat.match(/^cpu\d+ /gm) ?? []).length,
  };
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.setTimer(ms, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
