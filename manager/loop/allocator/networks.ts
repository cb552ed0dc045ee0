import { createHash } from 'node:crypto';
import { type Network, NetworkState, Subnet } from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import {
  formatAddress,
  formatIpv6,
  overlaps,
  type Prefix,
  parsePrefix,
} from '../../../shared/prefix.ts';
import { CLUSTER_KEY } from '../../store/schema.ts';
import { firstAddress, isFromPool, poolSubnet } from '../addressing/attach.ts';
import { poolsOf } from '../addressing/free-subnet.ts';
import { packReason, type Reason, reason } from '../reason.ts';
import { isOver } from '../task-facts.ts';
import type { Turn } from '../turn.ts';
import { mtuOf, type Underlay, underlayOf } from './mtu.ts';

/** Networks that came, went, or may have what they lack by now. */
export function settleNetworks(turn: Turn): void {
  const { dirty, left } = turn;
  if (dirty.underlay) {
    for (const id of turn.addresses.unsettled()) dirty.networks.add(id);
    followUnderlay(turn);
  }
  if (dirty.networks.size === 0) return;
  const underlay = underlayOf(turn.draft);
  for (const id of dirty.networks) {
    if (turn.isFull()) left.networks.add(id);
    else settle(turn, id, underlay);
  }
}

function settle(turn: Turn, id: string, underlay: Underlay): void {
  const network = turn.draft.table('network').get(id);
  const state = turn.draft.table('networkState').get(id);
  if (network === undefined) {
    if (state !== undefined) rest(turn, state);
  } else if (network.removing) remove(turn, network, state);
  else if (state === undefined || state.problem !== '') allocate(turn, network, state, underlay);
}

/** Gone when no task that anybody can stop is on it. */
function remove(turn: Turn, network: Network, state: NetworkState | undefined): void {
  const { draft } = turn;
  for (const task of draft.table('task').by('network', network.id)) {
    const entry = turn.entry(task);
    if (!isOver(entry) && !turn.isOutOfReach(entry)) return;
  }
  draft.delete('network', network.id);
  turn.tell('network', 'remove', network.id, nameOf(network), '');
  if (state !== undefined) rest(turn, state);
}

/**
 * Numbers and subnets of a removed network are given again when every node has heard of the removal,
 * and when no address on it is held: a node that is cut off may still use it.
 */
function rest(turn: Turn, state: NetworkState): void {
  const { draft, now, addresses } = turn;
  const removedMs = state.removedMs || now;
  const dueMs = removedMs + LIMITS.networkRestMs;
  if (state.index === 0 || (now >= dueMs && !addresses.isHeld(state.id))) {
    draft.delete('networkState', state.id);
    addresses.networkChanged(state.id, undefined);
    // What it had may be what other networks wait for.
    for (const id of addresses.unsettled()) turn.left.networks.add(id);
    return;
  }
  if (now < dueMs) turn.wake(`v:${state.id}`, dueMs);
  if (state.removedMs > 0) return;
  const after = NetworkState.with(state, { removedMs, problem: '' });
  draft.put('networkState', after);
  addresses.networkChanged(state.id, after);
}

function allocate(
  turn: Turn,
  network: Network,
  before: NetworkState | undefined,
  underlay: Underlay,
): void {
  const { draft, addresses } = turn;
  const { id } = network;
  const index = addresses.freeNetworkIndex();
  const subnets = index === 0 ? noIndex() : subnetsOrReason(turn, network, index);
  const problem = isReason(subnets) ? packReason(subnets) : '';
  if (before?.problem === problem) return;
  const after = isReason(subnets)
    ? NetworkState.create({ id, problem })
    : NetworkState.create({
        id,
        index,
        vni: LIMITS.vniBase + index,
        subnets,
        mtu: mtuOf(network, underlay),
      });
  draft.put('networkState', after);
  addresses.networkChanged(id, after);
  if (isReason(subnets)) {
    turn.tell('network', 'problem', id, nameOf(network), subnets.text);
    return;
  }
  turn.dirty.placement = true;
  for (const service of draft.table('service').by('network', nameOf(network)))
    turn.endpoints.add(service.id);
}

function noIndex(): Reason {
  return reason('network-problem', `all ${LIMITS.networkIndexMax} numbers of networks are in use`);
}

/** What throws is a bug of ours: that network waits, the others go on. */
function subnetsOrReason(turn: Turn, network: Network, index: number): readonly Subnet[] | Reason {
  try {
    return subnetsFor(turn, network, index);
  } catch (error) {
    return reason('network-problem', `its subnets cannot be made out: ${messageOf(error)}`);
  }
}

/** As asked for, completed; from the pool where nothing was asked. */
function subnetsFor(turn: Turn, network: Network, index: number): readonly Subnet[] | Reason {
  const given = network.spec?.subnets ?? [];
  for (const { cidr } of given) {
    const owner = ownerOf(turn, network.id, parsePrefix(cidr)!);
    if (owner !== '') return reason('network-problem', `${cidr} overlaps the network ${owner}`);
  }
  const subnets = given.map((subnet) =>
    Subnet.with(subnet, { gateway: subnet.gateway || gatewayOf(subnet.cidr) }),
  );
  if (isFromPool(given)) {
    const subnet = poolSubnet(turn);
    if (subnet === undefined) return poolUsedUp(turn);
    subnets.unshift(subnet);
  }
  if (network.spec?.ipv6 && !given.some(({ cidr }) => cidr.includes(':')))
    subnets.push(localIpv6(turn, index));
  return subnets;
}

function poolUsedUp(turn: Turn): Reason {
  const { addressPools, subnetLength } = poolsOf(turn.draft);
  return reason(
    'network-problem',
    `no subnet of /${subnetLength} is free in ${addressPools.join(', ')}: ` +
      'networks and the routes of nodes take all of it',
  );
}

/** The network that has (a part of) `prefix`; empty: none has. */
function ownerOf(turn: Turn, ownId: string, prefix: Prefix): string {
  for (const { networkId, prefix: other } of turn.addresses.subnets()) {
    if (networkId === ownId || !overlaps(prefix, other)) continue;
    const owner = turn.draft.table('network').get(networkId);
    return owner === undefined ? 'that was removed a moment ago' : nameOf(owner);
  }
  return '';
}

function gatewayOf(cidr: string): string {
  if (!cidr.includes(':')) return firstAddress(cidr);
  return formatAddress(6, parsePrefix(cidr)!.base + 1n);
}

/** A /64 of the cluster's own unique local /48 (RFC 4193), by the network's index. */
function localIpv6(turn: Turn, index: number): Subnet {
  const clusterId = turn.draft.table('cluster').get(CLUSTER_KEY)?.clusterId ?? '';
  const hash = createHash('sha256').update(clusterId).digest('hex').slice(0, 10);
  const base = (BigInt(`0xfd${hash}`) << 80n) | (BigInt(index) << 64n);
  return Subnet.create({ cidr: `${formatIpv6(base)}/64`, gateway: formatIpv6(base + 1n) });
}

/** Nodes with another MTU came or went: new tasks get what fits through now. */
function followUnderlay(turn: Turn): void {
  const underlay = underlayOf(turn.draft);
  for (const state of turn.draft.table('networkState').all()) {
    const network = turn.draft.table('network').get(state.id);
    if (network === undefined || state.index === 0) continue;
    const mtu = mtuOf(network, underlay);
    if (mtu === state.mtu) continue;
    const after = NetworkState.with(state, { mtu });
    turn.draft.put('networkState', after);
    turn.addresses.networkChanged(state.id, after);
  }
}

function nameOf(network: Network): string {
  return network.spec?.name ?? network.id;
}

function isReason(value: readonly Subnet[] | Reason): value is Reason {
  return !Array.isArray(value);
}
