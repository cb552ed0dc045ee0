import { NetworkAttachment, type ServiceState, TaskState } from '../../../proto/index.ts';
import { freeAddress } from '../addressing/attach.ts';
import { networkNamed } from '../addressing/needs.ts';
import type { RevisionFacts } from '../specs.ts';
import { isAssigned, isFinal } from '../task-facts.ts';
import type { Turn } from '../turn.ts';

/**
 * The virtual addresses of a service: those that its running revision asks for, and in an update those
 * of networks that old tasks are still reached on. One that is there stays what it is. A network that
 * is full or not ready gives none: the tasks wait, with the reason.
 */
export function virtualAddresses(
  turn: Turn,
  state: ServiceState,
  facts: RevisionFacts,
): NetworkAttachment[] {
  const addresses: NetworkAttachment[] = [];
  const before = new Map(state.virtualAddresses.map((one) => [one.networkId, one]));
  for (const { target } of facts.hasVirtualAddress ? facts.networks : []) {
    const networkId = networkNamed(turn.draft, target)?.id;
    if (networkId === undefined) continue;
    const known = before.get(networkId);
    const free = known === undefined ? freeAddress(turn, networkId) : undefined;
    if (known !== undefined) addresses.push(known);
    else if (free !== undefined) addresses.push(NetworkAttachment.create({ networkId, ...free }));
    before.delete(networkId);
  }
  if (before.size > 0) {
    const inUse = networksOfOldTasks(turn, state);
    for (const one of before.values()) if (inUse.has(one.networkId)) addresses.push(one);
  }
  return addresses;
}

/** Networks on which tasks that were not told to stop yet are reached by a virtual address. */
function networksOfOldTasks(turn: Turn, state: ServiceState): ReadonlySet<string> {
  const networks = new Set<string>();
  for (const task of turn.draft.table('task').by('service', state.id)) {
    if (task.attachments.length === 0 || task.desiredState > TaskState.RUNNING) continue;
    if (!isAssigned(task) || isFinal(turn.entry(task))) continue;
    const facts = turn.specs.find(turn.draft, state.id, task.revision);
    if (facts?.hasVirtualAddress !== true) continue;
    for (const { networkId } of task.attachments)
      if (turn.draft.table('network').has(networkId)) networks.add(networkId);
  }
  return networks;
}

export function sameAddresses(
  a: readonly NetworkAttachment[],
  b: readonly NetworkAttachment[],
): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
