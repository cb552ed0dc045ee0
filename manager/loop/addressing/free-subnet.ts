import { NetworkDefaults } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { endOf, formatIpv4, type Prefix, parsePrefix } from '../../../shared/prefix.ts';
import { CLUSTER_KEY } from '../../store/schema.ts';
import type { View } from '../../store/view.ts';
import type { AddressIndex } from './address-index.ts';

/** Where networks without subnets of their own get them from; fixed when the cluster is made. */
export function poolsOf(view: View): NetworkDefaults {
  const given = view.table('cluster').get(CLUSTER_KEY)?.network ?? null;
  const { addressPools, subnetLength, dataPort } = DEFAULTS;
  if (given === null) return NetworkDefaults.create({ addressPools, subnetLength, dataPort });
  return NetworkDefaults.create({
    addressPools: given.addressPools.length > 0 ? given.addressPools : addressPools,
    subnetLength: given.subnetLength || subnetLength,
    dataPort: given.dataPort || dataPort,
  });
}

/** IPv4 prefixes that no new subnet may touch: networks, wished for or there, and hosts' routes. */
export function takenPrefixes(view: View, index: AddressIndex): Prefix[] {
  const taken = [...index.subnets()].map(({ prefix }) => prefix);
  for (const network of view.table('network').all())
    for (const { cidr } of network.spec?.subnets ?? []) taken.push(...prefixOf(cidr));
  for (const { prefix } of nodeRoutes(view)) taken.push(prefix);
  return taken;
}

export interface NodeRoute {
  readonly nodeId: string;
  readonly prefix: Prefix;
}

/**
 * What members' hosts route by themselves, and their addresses. A default route says nothing, nor do the
 * two halves that VPNs put before it.
 */
export function* nodeRoutes(view: View): Iterable<NodeRoute> {
  for (const { id } of view.table('node').all()) {
    const description = view.table('nodeStatus').get(id)?.description;
    for (const text of [...(description?.routes ?? []), description?.dataAddress ?? ''])
      for (const prefix of prefixOf(text)) if (prefix.length > 1) yield { nodeId: id, prefix };
  }
}

function prefixOf(text: string): Prefix[] {
  const prefix = parsePrefix(text);
  return prefix === undefined ? [] : [prefix];
}

/** The lowest free prefix of `length` bits in the pools, as CIDR; undefined: none is free. */
export function freeSubnet(
  pools: readonly string[],
  length: number,
  taken: readonly Prefix[],
): string | undefined {
  const intervals = merge(taken.filter(({ family }) => family === 4));
  for (const text of pools) {
    const pool = parsePrefix(text);
    if (pool?.family !== 4) continue;
    const size = 2 ** (32 - Math.max(length, pool.length));
    const base = firstGap(intervals, Number(pool.base), Number(endOf(pool)), size);
    if (base !== undefined) return `${formatIpv4(base)}/${Math.max(length, pool.length)}`;
  }
  return undefined;
}

interface Interval {
  readonly start: number;
  end: number;
}

/** Sorted, and apart from each other. */
function merge(prefixes: readonly Prefix[]): Interval[] {
  const sorted = prefixes
    .map((prefix) => ({ start: Number(prefix.base), end: Number(endOf(prefix)) }))
    .sort((a, b) => a.start - b.start);
  const merged: Interval[] = [];
  for (const interval of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && interval.start <= last.end)
      last.end = Math.max(last.end, interval.end);
    else merged.push(interval);
  }
  return merged;
}

function firstGap(
  intervals: readonly Interval[],
  start: number,
  end: number,
  size: number,
): number | undefined {
  let candidate = start;
  for (const interval of intervals) {
    if (interval.end <= candidate) continue;
    if (interval.start >= candidate + size) break;
    candidate = Math.ceil(interval.end / size) * size;
  }
  return candidate + size <= end ? candidate : undefined;
}
