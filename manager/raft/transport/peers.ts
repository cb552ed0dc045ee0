import { Member, RaftPeer } from '../../../proto/index.ts';
import type { RowChange } from '../../replication.ts';
import type { PeerRecord, PeerRecords } from '../storage/meta.ts';

/** Memory of removed raft ids; far more than a cluster ever removes. */
const REMOVED_MAX = 10_000;

/**
 * Who is behind a raft id and where to dial it: from the `member` rows, from the contexts of
 * configuration changes (which come before the row), and from what was on disk at the start. A
 * removed raft id stays removed for ever.
 */
export class PeerDirectory {
  readonly #peers = new Map<number, PeerRecord>();
  readonly #removed = new Set<number>();
  readonly #buried = new Set<number>();
  readonly #changed: () => void;

  /** `changed`: what `records` gives is to be written. */
  constructor(initial: PeerRecords, changed: () => void) {
    for (const peer of initial.peers) this.#peers.set(peer.raftId, peer);
    for (const raftId of initial.removed) this.#removed.add(raftId);
    this.#changed = changed;
  }

  get(raftId: number): PeerRecord | undefined {
    return this.#peers.get(raftId);
  }
  all(): Iterable<PeerRecord> {
    return this.#peers.values();
  }
  isRemoved(raftId: number): boolean {
    return this.#removed.has(raftId);
  }
  /**
   * Whether a removed member may be told so, and delete its state: a row says that it was removed.
   * That row was written after the removal was applied, so whoever has it durably has the commit of
   * the removal durably as well, and a quorum of those that are left does. Before that the removed
   * member's answer to a vote may be what they need.
   */
  isBuried(raftId: number): boolean {
    return this.#buried.has(raftId);
  }
  records(): PeerRecords {
    return { peers: [...this.#peers.values()], removed: [...this.#removed] };
  }

  /** Takes over what is new in `peer`; empty fields say nothing. */
  learn(peer: PeerRecord): void {
    if (peer.raftId === 0 || this.#removed.has(peer.raftId)) return;
    const known = this.#peers.get(peer.raftId);
    const next: PeerRecord = {
      raftId: peer.raftId,
      nodeId: peer.nodeId || (known?.nodeId ?? ''),
      address: peer.address || (known?.address ?? ''),
    };
    if (known && known.nodeId === next.nodeId && known.address === next.address) return;
    this.#peers.set(peer.raftId, next);
    this.#changed();
  }

  remove(raftId: number): void {
    if (this.#removed.has(raftId) || this.#removed.size >= REMOVED_MAX) return;
    this.#removed.add(raftId);
    this.#peers.delete(raftId);
    this.#changed();
  }

  #bury(raftId: number): void {
    this.remove(raftId);
    if (this.#removed.has(raftId)) this.#buried.add(raftId);
  }

  /** A row that was applied or loaded. */
  noteRow(change: RowChange): void {
    if (change.bytes === undefined) return;
    if (change.table === 'removedMember') this.#bury(Number(change.id));
    if (change.table !== 'member') return;
    const { id, raftId, address } = Member.decode(change.bytes);
    this.learn({ raftId, nodeId: id, address });
  }
}

/** The context of a configuration change: whose raft id it is about. */
export function encodePeer(peer: PeerRecord): Uint8Array {
  return RaftPeer.encode(peer);
}
export function decodePeer(context: Uint8Array): PeerRecord | undefined {
  if (context.length === 0) return undefined;
  const { raftId, nodeId, address } = RaftPeer.decode(context);
  return { raftId, nodeId, address };
}
