import { createHash } from 'node:crypto';
import { AttachedNetwork, NetworkPeer, NetworkService } from '../proto/index.ts';

/** What a node's overlay is built from; managers and nodes have the same. */
export interface DigestedRows {
  readonly peers: readonly NetworkPeer[];
  readonly networks: readonly AttachedNetwork[];
  readonly networkServices: readonly NetworkService[];
}

/** The same for the same rows, in whatever order they come. */
export function networkDigest({ peers, networks, networkServices }: DigestedRows): Uint8Array {
  const rows = [
    ...peers.map((row) => line('peer', row.nodeId, NetworkPeer.encode(row))),
    ...networks.map((row) => line('network', row.id, AttachedNetwork.encode(row))),
    ...networkServices.map((row) => line('service', row.id, NetworkService.encode(row))),
  ];
  return createHash('sha256').update(rows.sort().join('\n')).digest();
}

function line(kind: string, id: string, bytes: Uint8Array): string {
  return `${kind} ${id} ${createHash('sha256').update(bytes).digest('hex')}`;
}
