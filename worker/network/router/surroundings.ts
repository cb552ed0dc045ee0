import { isIP } from 'node:net';
import type {
  AttachedNetwork,
  LoadBalanced,
  NetworkPeer,
  NetworkService,
} from '../../../proto/index.ts';
import { type Family, isV6, routerTable, type Table } from './items.ts';
import { type NodeNames, networkDevice } from './names.ts';

/** The rows that the overlay of a node is built from. */
export interface OverlayRows {
  readonly peers: readonly NetworkPeer[];
  readonly networks: readonly AttachedNetwork[];
  readonly networkServices: readonly NetworkService[];
  readonly services: readonly LoadBalanced[];
}

/** What all parts of a plan look things up in: who carries what, and how this node is called. */
export class Surroundings {
  readonly names: NodeNames;
  readonly self: NetworkPeer;
  readonly peers: ReadonlyMap<string, NetworkPeer>;
  readonly networks: ReadonlyMap<string, AttachedNetwork>;
  /** Undefined: published ports are not carried between nodes yet. */
  readonly ingress: AttachedNetwork | undefined;

  constructor(names: NodeNames, self: NetworkPeer, rows: Pick<OverlayRows, 'peers' | 'networks'>) {
    this.names = names;
    this.self = self;
    const usable = rows.peers.filter((peer) => peer.index > 0 && isIP(peer.dataAddress) !== 0);
    this.peers = new Map(usable.map((peer) => [peer.nodeId, peer]));
    this.networks = new Map(rows.networks.map((network) => [network.id, network]));
    this.ingress = rows.networks.find((network) => network.ingress);
  }
  /** The other node that an endpoint is on; undefined: this one, or none that is known. */
  remote(nodeId: string): NetworkPeer | undefined {
    return nodeId === this.self.nodeId ? undefined : this.peers.get(nodeId);
  }
  ingressDevice(): string | undefined {
    return this.ingress && networkDevice(this.ingress);
  }
  hostTable(family: Family): Table {
    return { place: 'host', family, name: this.names.table };
  }
}

/** What the manager found, or what fits where nobody has said more. */
export function mtuOf(network: Pick<AttachedNetwork, 'mtu' | 'encrypted'>): number {
  return network.mtu || (network.encrypted ? 1_370 : 1_450);
}

export function tableOf(address: string): Table {
  return routerTable(isV6(address) ? 6 : 4);
}

/** Both addresses that are there and are addresses. */
export function addressesOf(at: {
  readonly address: string;
  readonly address6: string;
}): readonly string[] {
  return [
    isIP(at.address) === 4 ? at.address : '',
    isIP(at.address6) === 6 ? at.address6 : '',
  ].filter((each) => each !== '');
}
