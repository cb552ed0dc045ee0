/** App messages with entries that are on their way to one follower, bounded by count and bytes. */
import { assert } from '../../../shared/assert.ts';

/**
 * A ring of (last index, bytes), oldest first.
 * Invariants: count <= size; indexes rise; `bytes` is the sum over the ring.
 */
export class Inflights {
  private readonly size: number;
  private readonly maxBytes: number;
  private start = 0;
  private used = 0;
  private bytesUsed = 0;
  private indexes: number[] = [];
  private bytes: number[] = [];

  /** At most `size` messages; full as well once they hold `maxBytes` or more. */
  constructor(size: number, maxBytes: number) {
    this.size = size;
    this.maxBytes = maxBytes;
  }

  get count(): number {
    return this.used;
  }

  /** Payload bytes on their way. */
  get byteCount(): number {
    return this.bytesUsed;
  }

  full(): boolean {
    return this.used === this.size || this.bytesUsed >= this.maxBytes;
  }

  /** Notes a message whose last entry is `index`. Must not be full by count. */
  add(index: number, bytes: number): void {
    assert(this.used < this.size, 'a message is sent into a full window');
    let slot = this.start + this.used;
    if (slot >= this.size) slot -= this.size;
    this.indexes[slot] = index;
    this.bytes[slot] = bytes;
    this.used++;
    this.bytesUsed += bytes;
  }

  /** Frees every message whose last entry is at or below `index`. */
  freeUpTo(index: number): void {
    while (this.used > 0 && this.indexes[this.start]! <= index) {
      this.bytesUsed -= this.bytes[this.start]!;
      this.used--;
      this.start = this.start + 1 === this.size ? 0 : this.start + 1;
    }
    assert(this.bytesUsed >= 0, 'more bytes were freed than were sent');
    // An empty ring starts over, so that the arrays grow no longer than the busiest moment needs.
    if (this.used === 0) this.start = 0;
  }

  reset(): void {
    this.start = 0;
    this.used = 0;
    this.bytesUsed = 0;
  }
}
