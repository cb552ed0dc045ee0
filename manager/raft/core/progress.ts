/** What a leader knows of one member's log, and how it sends to it. */
import { assert } from '../../../shared/assert.ts';
import type { Inflights } from './inflights.ts';
import type { NodeId } from './types.ts';

/**
 * `Probe`: the end of the follower's log is not known, one message per round trip.
 * `Replicate`: known, messages are pipelined. `Snapshot`: a snapshot is on its way, nothing else.
 */
export const ProgressState = { Probe: 0, Replicate: 1, Snapshot: 2 } as const;
export type ProgressState = (typeof ProgressState)[keyof typeof ProgressState];

/** Invariants: match < next; pendingSnapshot is 0 unless in Snapshot; sentCommit never regains. */
export class Progress {
  readonly id: NodeId;
  /** Highest index known to be durable there and equal to ours. */
  match = 0;
  /** The next entry to send. */
  next: number;
  state: ProgressState = ProgressState.Probe;
  /** Index of the snapshot on its way. */
  pendingSnapshot = 0;
  /** Highest commit index sent on its way; in doubt lower. */
  sentCommit = 0;
  /** Heard from since the last check of the quorum. */
  recentActive: boolean;
  /** No further App until an answer or a heartbeat's answer arrives. */
  flowPaused = false;
  readonly inflights: Inflights;
  isLearner: boolean;

  constructor(id: NodeId, next: number, inflights: Inflights, isLearner: boolean) {
    assert(next > 0, 'the first entry of a log is 1');
    this.id = id;
    this.next = next;
    this.inflights = inflights;
    this.isLearner = isLearner;
    this.recentActive = false;
  }

  /** As for a leader that just began: nothing is known but where its own log ends. */
  restart(match: number, next: number): void {
    assert(match < next, 'match is below next');
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.recentActive = false;
    this.enter(ProgressState.Probe);
  }

  becomeProbe(): void {
    // After a snapshot, what was sent may have arrived even if its answer did not.
    const sent = this.state === ProgressState.Snapshot ? this.pendingSnapshot : 0;
    this.enter(ProgressState.Probe);
    this.next = Math.max(this.match, sent) + 1;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.enter(ProgressState.Replicate);
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.enter(ProgressState.Snapshot);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** An App with `count` entries of `bytes` payload leaves. */
  sentEntries(count: number, bytes: number): void {
    assert(this.state !== ProgressState.Snapshot, 'no entries are sent beside a snapshot');
    if (this.state === ProgressState.Probe) {
      if (count > 0) this.flowPaused = true;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.inflights.add(this.next - 1, bytes);
    }
    // A message into a full window is a probe: the next one waits for a sign of life.
    this.flowPaused = this.inflights.full();
  }

  /** Whether a message now would tell of a commit index that none before could. */
  canBumpCommit(committed: number): boolean {
    return committed > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** The follower has everything up to `index`. False when that is no news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.flowPaused = false;
    return true;
  }

  /**
   * The follower refused an App behind `rejected` and says where logs may agree. False for a
   * refusal that is out of date: what it speaks of was sent before something that is settled.
   */
  maybeDecrement(rejected: number, matchHint: number): boolean {
    if (this.state === ProgressState.Replicate) {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1);
      return true;
    }
    // Probing sends one message at a time, so an answer to any other than the last is old.
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.flowPaused = false;
    return true;
  }

  isPaused(): boolean {
    return this.state === ProgressState.Snapshot || this.flowPaused;
  }

  /** A copy for a configuration under construction: a refused change must leave no trace. */
  clone(): Progress {
    const copy = new Progress(this.id, this.next, this.inflights, this.isLearner);
    copy.match = this.match;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.sentCommit = this.sentCommit;
    copy.recentActive = this.recentActive;
    copy.flowPaused = this.flowPaused;
    return copy;
  }

  private enter(state: ProgressState): void {
    this.flowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }
}
