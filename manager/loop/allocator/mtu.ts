import type { Network } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import type { View } from '../../store/view.ts';
import { isOverlayNode } from '../addressing/needs.ts';

/** What encapsulation takes from each packet. */
const VXLAN_OVER_IPV4 = 50;
const VXLAN_OVER_IPV6 = 70;
const WIREGUARD = 80;

/** The narrowest way between two nodes. */
export interface Underlay {
  readonly mtu: number;
  readonly ipv6: boolean;
}

/** What all members have in common; a node that does not know its MTU has the usual one. */
export function underlayOf(view: View): Underlay {
  let mtu = Number.POSITIVE_INFINITY;
  let ipv6 = false;
  for (const { id } of view.table('node').all()) {
    const status = view.table('nodeStatus').get(id);
    if (!isOverlayNode(status)) continue;
    mtu = Math.min(mtu, status?.description?.mtu || DEFAULTS.underlayMtu);
    ipv6 ||= status?.description?.dataAddress.includes(':') === true;
  }
  return { mtu: Number.isFinite(mtu) ? mtu : DEFAULTS.underlayMtu, ipv6 };
}

/** What the user asked for, else what fits through. WireGuard carries VXLAN over its own IPv4. */
export function mtuOf(network: Network, { mtu, ipv6 }: Underlay): number {
  const { spec } = network;
  if (spec !== null && spec.mtu > 0) return spec.mtu;
  if (spec?.encrypted) return mtu - WIREGUARD - VXLAN_OVER_IPV4;
  return mtu - (ipv6 ? VXLAN_OVER_IPV6 : VXLAN_OVER_IPV4);
}
