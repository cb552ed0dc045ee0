/**
 * Reads that wait for proof that this leader still leads (dissertation section 6.4).
 *
 * A round is one number, sent with heartbeats and given back by their answers; all reads that
 * arrive before a round leaves share it. Rounds are numbered by the leader, never by the asker: an
 * answer that comes late, or twice, proves only rounds that began before it was sent, even if the
 * asker repeats its own context (the stale read of etcd#20418).
 */
import type { NodeId } from './types.ts';

export interface PendingRead {
  readonly from: NodeId;
  readonly context: Uint8Array;
  /** The commit index when the read arrived. */
  readonly index: number;
  readonly round: number;
}

/** Invariants: rounds in the queue rise; acks name no round that was not begun. */
export class ReadOnly {
  private queue: PendingRead[] = [];
  private readonly acks = new Map<NodeId, number>();
  private round = 0;
  private isRoundOpen = false;

  /** Reads that wait. */
  get length(): number {
    return this.queue.length;
  }

  /** 0 when no read waits. */
  get lastRound(): number {
    return this.queue.length === 0 ? 0 : this.round;
  }

  /** True if heartbeats have to be sent for it; false if it shares those not yet taken. */
  add(from: NodeId, context: Uint8Array, index: number): boolean {
    const begins = !this.isRoundOpen;
    if (begins) this.round++;
    this.isRoundOpen = true;
    this.queue.push({ from, context, index, round: this.round });
    return begins;
  }

  /** The heartbeats are leaving: later reads need new ones. */
  closeRound(): void {
    this.isRoundOpen = false;
  }

  recordAck(id: NodeId, round: number): void {
    // A round that was never begun is not ours: from a broken peer, and proves nothing.
    if (round > this.round) return;
    if (round > (this.acks.get(id) ?? 0)) this.acks.set(id, round);
  }

  ackOf(id: NodeId): number {
    return this.acks.get(id) ?? 0;
  }

  /** Takes out the reads of all rounds up to this one. */
  take(round: number): readonly PendingRead[] {
    let count = 0;
    while (count < this.queue.length && this.queue[count]!.round <= round) count++;
    return this.queue.splice(0, count);
  }

  reset(): void {
    this.queue = [];
    this.acks.clear();
    this.isRoundOpen = false;
    // The number goes on: answers to rounds of an earlier term stay behind.
  }
}

/** Eight bytes, big-endian. */
export function encodeRound(round: number): Uint8Array {
  const bytes = new Uint8Array(8);
  let rest = round;
  for (let i = 7; i >= 0 && rest > 0; i--) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** 0 for anything that is not a round. */
export function decodeRound(bytes: Uint8Array): number {
  if (bytes.length !== 8) return 0;
  let round = 0;
  for (const byte of bytes) round = round * 256 + byte;
  return Number.isSafeInteger(round) ? round : 0;
}
