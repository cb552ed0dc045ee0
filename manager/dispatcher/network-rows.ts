import { AttachedNetwork, NetworkPeer, NetworkService, TaskState } from '../../proto/index.ts';
import { inPieces } from '../../shared/slices.ts';
import { INGRESS } from '../loop/addressing/predefined.ts';
import type { AppliedEntry, Change, View } from '../store/view.ts';
import { encodeNetwork, encodePeers } from './assignment-message.ts';
import { type Item, ItemSet, isEqual, joinDigests, makeItem, NO_DIGEST } from './item-set.ts';
import { attachedNetwork, isReachable, networkPeer, networkServices } from './network-messages.ts';

/** What changed on networks since it was last taken. */
export interface NetworkChanges {
  /** Encoded peers that came, changed or went: the same for every node. Empty: none. */
  readonly peers: Uint8Array;
  /** Network id -> its changes, encoded. */
  readonly networks: ReadonlyMap<string, Uint8Array>;
  /** Nodes whose tasks may be on other networks now. */
  readonly nodes: ReadonlySet<string>;
}

interface NetworkSet {
  row: Item | undefined;
  readonly services: ItemSet;
  /** Everything of it, encoded; made when the first node asks. */
  whole: Uint8Array | undefined;
}

/**
 * Peers, networks and the services on them as nodes get them, kept up to date from what is applied.
 * Each row is encoded once, whoever gets it; a node gets the networks that its tasks are on.
 */
export class NetworkRows {
  readonly #peers = new ItemSet();
  readonly #networks = new Map<string, NetworkSet>();
  /** Service id -> networks on which it has a row. */
  readonly #networksOf = new Map<string, ReadonlySet<string>>();
  #dirtyPeers = new Set<string>();
  #dirtyNetworks = new Set<string>();
  #dirtyServices = new Set<string>();
  #dirtyNodes = new Set<string>();

  /** Starts anew from a whole state, in pieces. Entries may be observed before it has ended. */
  *rebuild(view: View): Generator<void, void> {
    this.#peers.clear();
    this.#networks.clear();
    this.#networksOf.clear();
    for (const node of view.table('node').all()) this.#dirtyPeers.add(node.id);
    for (const state of view.table('networkState').all()) this.#dirtyNetworks.add(state.id);
    this.take(view);
    const services = view.table('service').all();
    const take = (service: { readonly id: string }): void => {
      this.#dirtyServices.add(service.id);
      this.take(view);
    };
    yield* inPieces(services, take, 1);
  }

  /** Notes what an entry touches. */
  observe(view: View, entry: AppliedEntry): void {
    for (const change of entry.changes) this.#note(view, change);
  }

  /** Brings the rows up to `view` and hands over what changed. */
  take(view: View): NetworkChanges {
    const peers = this.#takePeers(view);
    const changes = new Map<string, Draft>();
    for (const id of this.#dirtyNetworks) this.#updateNetwork(view, id, changes);
    for (const id of this.#dirtyServices) this.#updateService(view, id, changes);
    const networks = new Map<string, Uint8Array>();
    for (const [id, draft] of changes) {
      this.#set(id).whole = undefined;
      networks.set(id, encodeNetwork(draft));
    }
    for (const id of [...this.#dirtyNetworks, ...changes.keys()]) this.#dropEmpty(id);
    const nodes = this.#dirtyNodes;
    this.#dirtyPeers = new Set();
    this.#dirtyNetworks = new Set();
    this.#dirtyServices = new Set();
    this.#dirtyNodes = new Set();
    return { peers, networks, nodes };
  }

  /** The networks that a node is told of: its tasks', and the one of published ports. */
  networksOf(view: View, nodeId: string): ReadonlySet<string> {
    const ids = new Set([INGRESS]);
    for (const task of view.table('task').by('node', nodeId))
      if (isReachable(view, task)) for (const { networkId } of task.attachments) ids.add(networkId);
    return ids;
  }
  /** All peers, encoded. */
  allPeers(): Uint8Array {
    return encodePeers(this.#peers.all(), []);
  }
  /** Everything of one network, encoded. */
  whole(networkId: string): Uint8Array {
    const set = this.#networks.get(networkId);
    if (set === undefined) return NOTHING;
    set.whole ??= encodeNetwork({ row: set.row, services: [...set.services.all()] });
    return set.whole;
  }
  /** What a node that is on this network no longer is told to forget. */
  goodbye(networkId: string): Uint8Array {
    const set = this.#networks.get(networkId);
    if (set === undefined) return NOTHING;
    const removedServices = [...set.services.all()].map(({ id }) => id);
    return encodeNetwork({ removed: networkId, removedServices });
  }
  /** Of the peers and of everything on these networks. */
  digest(networkIds: Iterable<string>): Uint8Array {
    let digest = this.#peers.digest();
    for (const id of networkIds) {
      const set = this.#networks.get(id);
      if (set === undefined) continue;
      digest = joinDigests(digest, set.services.digest());
      digest = joinDigests(digest, set.row?.hash ?? NO_DIGEST);
    }
    return digest;
  }

  #takePeers(view: View): Uint8Array {
    const changed: Item[] = [];
    const removed: string[] = [];
    for (const id of this.#dirtyPeers) {
      const peer = networkPeer(view, id);
      const item = peer && makeItem(id, NetworkPeer.encode(peer));
      if (!this.#peers.set(id, item)) continue;
      if (item === undefined) removed.push(id);
      else changed.push(item);
    }
    return encodePeers(changed, removed);
  }

  #updateNetwork(view: View, id: string, changes: Map<string, Draft>): void {
    const row = attachedNetwork(view, id);
    const item = row && makeItem(id, AttachedNetwork.encode(row));
    const set = this.#set(id);
    if (isSame(item, set.row)) return;
    const draft = draftOf(changes, id);
    set.row = item;
    draft.row = item;
    draft.removed = item === undefined ? id : '';
  }

  #updateService(view: View, id: string, changes: Map<string, Draft>): void {
    const before = this.#networksOf.get(id) ?? NONE;
    const rows = networkServices(view, id);
    const key = (networkId: string) => `${id}/${networkId}`;
    for (const [networkId, row] of rows) {
      const item = makeItem(key(networkId), NetworkService.encode(row));
      if (this.#set(networkId).services.set(item.id, item))
        draftOf(changes, networkId).services.push(item);
    }
    for (const networkId of before) {
      if (rows.has(networkId)) continue;
      if (this.#set(networkId).services.set(key(networkId), undefined))
        draftOf(changes, networkId).removedServices.push(key(networkId));
    }
    if (rows.size > 0) this.#networksOf.set(id, new Set(rows.keys()));
    else this.#networksOf.delete(id);
  }

  #dropEmpty(id: string): void {
    const set = this.#networks.get(id);
    if (set?.row === undefined && set?.services.size === 0) this.#networks.delete(id);
  }

  #set(id: string): NetworkSet {
    let set = this.#networks.get(id);
    if (set === undefined) {
      set = { row: undefined, services: new ItemSet(), whole: undefined };
      this.#networks.set(id, set);
    }
    return set;
  }

  #note(view: View, change: Change): void {
    const { table, id } = change;
    switch (table) {
      case 'task': {
        const { before, after } = change as Change<'task'>;
        for (const row of [before, after]) {
          if (row === undefined || row.attachments.length === 0) continue;
          this.#dirtyServices.add(row.serviceId);
          this.#dirtyNodes.add(row.nodeId);
        }
        return;
      }
      case 'taskStatus': {
        const task = view.table('task').get(id);
        if (task === undefined || task.attachments.length === 0) return;
        this.#dirtyServices.add(task.serviceId);
        const { after } = change as Change<'taskStatus'>;
        if ((after?.state ?? 0) >= TaskState.COMPLETE) this.#dirtyNodes.add(task.nodeId);
        return;
      }
      case 'nodeStatus':
        this.#noteNodeStatus(view, change as Change<'nodeStatus'>);
        return;
      case 'node':
      case 'nodeState':
        this.#dirtyPeers.add(id);
        return;
      case 'service':
        if (this.#networksOf.has(id)) this.#dirtyServices.add(id);
        return;
      case 'serviceState': {
        const { before, after } = change as Change<'serviceState'>;
        const rows = [before, after].filter((row) => (row?.virtualAddresses.length ?? 0) > 0);
        if (rows.length > 0) this.#dirtyServices.add(id);
        return;
      }
      case 'network':
      case 'networkState':
        this.#dirtyNetworks.add(id);
        return;
      default:
        return;
    }
  }

  #noteNodeStatus(view: View, { id, before, after }: Change<'nodeStatus'>): void {
    if (before?.description !== after?.description) this.#dirtyPeers.add(id);
    if (before?.liveness === after?.liveness) return;
    for (const task of view.table('task').by('node', id))
      if (task.attachments.length > 0) this.#dirtyServices.add(task.serviceId);
  }
}

/** The changes of one network while they are gathered. */
interface Draft {
  row: Item | undefined;
  removed: string;
  readonly services: Item[];
  readonly removedServices: string[];
}

function draftOf(drafts: Map<string, Draft>, id: string): Draft {
  const known = drafts.get(id);
  if (known !== undefined) return known;
  const draft: Draft = { row: undefined, removed: '', services: [], removedServices: [] };
  drafts.set(id, draft);
  return draft;
}

function isSame(a: Item | undefined, b: Item | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && isEqual(a.hash, b.hash));
}

const NOTHING = new Uint8Array();
const NONE: ReadonlySet<string> = new Set();
