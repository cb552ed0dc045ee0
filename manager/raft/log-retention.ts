import { ProgressState, type RawNode } from './core/index.ts';
import { compactionTarget } from './storage/compaction.ts';
import type { LogStore } from './storage/log-store.ts';
import type { PeerActivity } from './transport/peer-activity.ts';

/** Decides how much of the log is kept, and remembers who still needs what of it. */
export class LogRetention {
  /** Receivers of snapshots that do not replicate yet, and the index they were sent. */
  readonly #snapshots = new Map<number, number>();

  /** From now on the log above `index` is kept until the member replicates. */
  snapshotSent(raftId: number, index: number): void {
    this.#snapshots.set(raftId, index);
  }
  forget(raftId: number): void {
    this.#snapshots.delete(raftId);
  }
  /** This member leads no more: others keep what is needed. */
  clear(): void {
    this.#snapshots.clear();
  }

  /** Up to where the log is to be dropped now, or undefined. */
  target(node: RawNode, store: LogStore, activity: PeerActivity): number | undefined {
    const progress = node.isLeader ? node.status().progress : [];
    for (const { id, state } of progress) {
      if (state === ProgressState.Replicate) this.#snapshots.delete(id);
    }
    const active = progress.filter((peer) => peer.id !== node.id && activity.isActive(peer.id));
    return compactionTarget({
      firstIndex: store.firstIndex(),
      lastIndex: store.lastIndex(),
      bytes: store.bytes,
      appliedOnDisk: store.applied.index,
      peerMatches: active.map((peer) => peer.match),
      snapshotIndexes: [...this.#snapshots.values()],
    });
  }
}
