import { NetworkAttachment, NetworkState, Subnet } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { formatIpv4, parsePrefix } from '../../../shared/prefix.ts';
import { type Reason, reason } from '../reason.ts';
import type { RevisionFacts } from '../specs.ts';
import type { Turn } from '../turn.ts';
import type { FreeAddress } from './address-index.ts';
import { freeSubnet, poolsOf, takenPrefixes } from './free-subnet.ts';
import { isOverlayNode, networkNamed } from './needs.ts';
import { INGRESS } from './predefined.ts';

/** The addresses of a task that goes to `nodeId`, or why there are none. Nothing is taken yet. */
export function attach(
  turn: Turn,
  facts: RevisionFacts,
  nodeId: string,
): readonly NetworkAttachment[] | Reason {
  const attachments: NetworkAttachment[] = [];
  for (const { target, aliases } of networksOn(turn, facts, nodeId)) {
    const networkId = networkNamed(turn.draft, target)?.id ?? '';
    const address = freeAddress(turn, networkId);
    if (address === undefined) return usedUp(turn, target);
    attachments.push(NetworkAttachment.create({ networkId, ...address, aliases }));
  }
  return attachments;
}

interface Target {
  readonly target: string;
  readonly aliases: readonly string[];
}

/** Containers with published ports and no network get connections through the ingress. */
function networksOn(turn: Turn, facts: RevisionFacts, nodeId: string): readonly Target[] {
  if (!facts.usesIngress) return facts.networks;
  const overlay = isOverlayNode(turn.draft.table('nodeStatus').get(nodeId));
  return overlay ? [{ target: INGRESS, aliases: [] }] : [];
}

/**
 * Why no task of this revision can have an address now; undefined: it can, as far as is known. What
 * its networks lack themselves comes before the nodes.
 */
export function networkReason(turn: Turn, facts: RevisionFacts): Reason | undefined {
  const state = turn.state(facts.serviceId);
  for (const { target } of facts.networks) {
    const network = networkNamed(turn.draft, target);
    if (network === undefined) return reason('network-missing', `there is no network ${target}`);
    const row = turn.draft.table('networkState').get(network.id);
    const problem = row?.problem ?? 'network-problem|its numbers are not given yet';
    if (row === undefined || problem !== '')
      return reason(
        'network-problem',
        `network ${target}: ${problem.slice(problem.indexOf('|') + 1)}`,
      );
    if (!facts.hasVirtualAddress || state?.runningRevision !== facts.revision) continue;
    if (!state.virtualAddresses.some(({ networkId }) => networkId === network.id))
      return usedUp(turn, target);
  }
  return undefined;
}

/** From a network's subnets; one from the pool that is full gets one more. */
export function freeAddress(turn: Turn, networkId: string): FreeAddress | undefined {
  const free = turn.addresses.free(networkId);
  if (free !== undefined) return free;
  return grow(turn, networkId) ? turn.addresses.free(networkId) : undefined;
}

function grow(turn: Turn, networkId: string): boolean {
  const { draft, addresses } = turn;
  const network = draft.table('network').get(networkId);
  const state = draft.table('networkState').get(networkId);
  if (network === undefined || state === undefined || state.problem !== '') return false;
  if (!isFromPool(network.spec?.subnets ?? [])) return false;
  if (state.subnets.length >= LIMITS.subnetsGrownMax) return false;
  const subnet = poolSubnet(turn);
  if (subnet === undefined) return false;
  const grown = NetworkState.with(state, { subnets: [...state.subnets, subnet] });
  draft.put('networkState', grown);
  addresses.networkChanged(networkId, grown);
  turn.tell('network', 'grow', networkId, network.spec?.name ?? networkId, `${subnet.cidr} added`);
  return true;
}

/** Subnets of the second family alone leave the first one to the pool. */
export function isFromPool(subnets: readonly Subnet[]): boolean {
  return subnets.every(({ cidr }) => cidr.includes(':'));
}

/** A free subnet of the cluster's pools; undefined: they are used up. */
export function poolSubnet(turn: Turn): Subnet | undefined {
  const { addressPools, subnetLength } = poolsOf(turn.draft);
  const taken = takenPrefixes(turn.draft, turn.addresses);
  const cidr = freeSubnet(addressPools, subnetLength, taken);
  return cidr === undefined ? undefined : Subnet.create({ cidr, gateway: firstAddress(cidr) });
}

/** The gateway of a subnet that names none. */
export function firstAddress(cidr: string): string {
  return formatIpv4(Number(parsePrefix(cidr)!.base) + 1);
}

function usedUp(turn: Turn, name: string): Reason {
  const network = networkNamed(turn.draft, name);
  const { capacity } = turn.addresses.usage(network?.id ?? '');
  const where = isFromPool(network?.spec?.subnets ?? [])
    ? 'and no free subnet is left in the pools of the cluster'
    : `in ${network!.spec!.subnets.map(({ cidr }) => cidr).join(', ')}`;
  return reason(
    'addresses-used-up',
    `all ${capacity} addresses of network ${name} are given ${where}`,
  );
}
