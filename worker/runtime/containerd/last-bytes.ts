import { type Clock, delay } from '../../../shared/clock.ts';
import type { ContainerNetwork } from '../../network/container-network.ts';

/** A peer that vanished confirms nothing; whatever it is, its place is wanted. */
const LAST_BYTES_MS = 3_000;
const LOOK_MS = 100;

export interface LastBytesDeps {
  readonly clock: Clock;
  readonly network: Pick<ContainerNetwork, 'unconfirmed'>;
}

/**
 * What a program wrote before it ended is the kernel's to deliver, and to send again where it was lost;
 * but only as long as the container's network is there, and other nodes know the way. Resolves when all
 * has been confirmed, three seconds later at the latest. Never rejects.
 */
export async function untilDelivered(deps: LastBytesDeps, taskId: string): Promise<void> {
  const { clock, network } = deps;
  const endMs = clock.monotonicMs() + LAST_BYTES_MS;
  while ((await network.unconfirmed(taskId).catch(() => 0)) > 0) {
    if (clock.monotonicMs() >= endMs) return;
    await delay(clock, LOOK_MS);
  }
}
