import type { AssignedTask } from '../../proto/index.ts';
import { type Clock, delay } from '../../shared/clock.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Network } from '../network/network.ts';

const LOOK_MS = 50;

export interface DrainDeps {
  readonly clock: Clock;
  readonly network: Network;
}

/**
 * Resolves when no connection to the task is open, its drain time is over, or it has ended by
 * itself. New ones do not come any more: the managers saw to that before the stop order.
 */
export async function untilDrained(
  deps: DrainDeps,
  task: AssignedTask,
  pid: number,
  hasEnded: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  if (task.ports.length === 0 && task.attachments.length === 0) return;
  const drainMs = task.spec?.drainTimeMs || DEFAULTS.drainTimeMs;
  const endMs = deps.clock.monotonicMs() + drainMs;
  while (!hasEnded() && !signal.aborted && deps.clock.monotonicMs() < endMs) {
    const open = await deps.network.openConnections(task.id, pid).catch(() => 0);
    if (open === 0) return;
    await delay(deps.clock, LOOK_MS);
  }
}
