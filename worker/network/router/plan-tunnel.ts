import { isIP } from 'node:net';
import type { AttachedNetwork, NetworkPeer } from '../../../proto/index.ts';
import { type Item, isV6, tunnelDevice, tunnelPeer } from './items.ts';
import { mtuOf, type Surroundings } from './surroundings.ts';
import { tunnelKeyPath } from './tunnel-keys.ts';
import { tunnelAddress, tunnelPort } from './tunnel-names.ts';

/** What VXLAN adds to a packet of an encrypted network, over the tunnel's IPv4. */
const VXLAN = 50;

/**
 * The WireGuard device that carries encrypted networks, in the host's own namespace, and the nodes that
 * it reaches. Nothing where no such network is, or where this node has told no key.
 */
export function planTunnel(around: Surroundings, keys: string): readonly Item[] {
  const { self, names, networks, peers } = around;
  const encrypted = [...networks.values()].filter((network) => network.encrypted);
  if (encrypted.length === 0 || self.wireguardKey === '') return [];
  const device = tunnelDevice({
    device: names.tunnel,
    key: self.wireguardKey,
    keyPath: tunnelKeyPath(keys, self.wireguardKey),
    port: tunnelPort(self.dataPort),
    address: tunnelAddress(self.index),
    mtu: tunnelMtu(encrypted),
  });
  const others = [...peers.values()].filter((peer) => peer !== self && isReached(peer));
  return [
    device,
    ...others.map((peer) =>
      tunnelPeer({
        device: names.tunnel,
        ownKey: self.wireguardKey,
        key: peer.wireguardKey,
        endpoint: endpointOf(peer),
        address: tunnelAddress(peer.index),
      }),
    ),
  ];
}

function tunnelMtu(encrypted: readonly AttachedNetwork[]): number {
  return Math.max(...encrypted.map((network) => mtuOf(network) + VXLAN));
}

function isReached({ wireguardKey, dataAddress }: NetworkPeer): boolean {
  return /^[A-Za-z0-9+/]{43}=$/.test(wireguardKey) && isIP(dataAddress) !== 0;
}

function endpointOf({ dataAddress, dataPort }: NetworkPeer): string {
  const host = isV6(dataAddress) ? `[${dataAddress}]` : dataAddress;
  return `${host}:${tunnelPort(dataPort)}`;
}
