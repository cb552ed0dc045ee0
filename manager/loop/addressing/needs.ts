import type { Network, NodeStatus } from '../../../proto/index.ts';
import type { View } from '../../store/view.ts';

/** What a revision's networks ask of a node, in words. */
export type NetworkNeeds = '' | `overlay${'' | ' encrypted'}${'' | ' ipv6'}`;

/**
 * `networks`: those of a revision that are not of the node alone. They come and go under their names,
 * so this is asked of the rows and not of the revision.
 */
export function needsOf(
  view: View,
  networks: readonly { readonly target: string }[],
): NetworkNeeds {
  if (networks.length === 0) return '';
  const specs = networks.map(({ target }) => networkNamed(view, target)?.spec);
  const encrypted = specs.some((spec) => spec?.encrypted === true);
  const six = specs.some((spec) => spec?.ipv6 === true);
  return `overlay${encrypted ? ' encrypted' : ''}${six ? ' ipv6' : ''}`;
}

/** One that is there to stay. */
export function networkNamed(view: View, name: string): Network | undefined {
  for (const network of view.table('network').by('name', name))
    if (!network.removing) return network;
  return undefined;
}

/** Why a node cannot carry such networks; empty: it can. */
export function lacks(status: NodeStatus | undefined, needs: NetworkNeeds): string {
  if (needs === '') return '';
  const description = status?.description;
  if (!isOverlayNode(status)) return 'no overlay networks';
  if (needs.includes('ipv6') && description?.features['ipv6'] === 'none')
    return 'no IPv6 (its kernel was started with ipv6.disable)';
  if (!needs.includes('encrypted') || description?.wireguardKey !== '') return '';
  const reason = description.features['encryption-reason'] || 'no WireGuard';
  return `no encrypted networks (${reason})`;
}

/** The node carries traffic between containers of different nodes. */
export function isOverlayNode(status: NodeStatus | undefined): boolean {
  const description = status?.description;
  return description?.features['network'] === 'overlay' && description.dataAddress !== '';
}
