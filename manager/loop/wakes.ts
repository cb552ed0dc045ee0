import type { Dirty } from './dirty.ts';

/** What a due moment wakes: a service, a slot, a node or a network. The letter keeps them apart. */
export type WakeKey = `s:${string}` | `k:${string}` | `n:${string}` | `v:${string}`;

/**
 * Moments at which an object must be looked at again, in cluster time. They are derived from fields
 * of rows whenever the object is looked at, so that the next leader finds the same ones.
 */
export class Wakes {
  readonly #dueMs = new Map<WakeKey, number>();
  /** Min-heap by due time; entries whose key has another due time by now are stale. */
  readonly #heap: { readonly atMs: number; readonly key: WakeKey }[] = [];

  /** Replaces what `key` waited for. A wake too many is only a look that finds nothing to do. */
  set(key: WakeKey, atMs: number): void {
    if (this.#dueMs.get(key) === atMs) return;
    this.#dueMs.set(key, atMs);
    this.#push({ atMs, key });
  }

  clear(): void {
    this.#dueMs.clear();
    this.#heap.length = 0;
  }

  nextMs(): number | undefined {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || this.#dueMs.get(top.key) === top.atMs) return top?.atMs;
      this.#pop();
    }
  }

  /** Moves what is due at `nowMs` into `dirty`. */
  takeDue(nowMs: number, dirty: Dirty): void {
    for (let at = this.nextMs(); at !== undefined && at <= nowMs; at = this.nextMs()) {
      const { key } = this.#pop();
      this.#dueMs.delete(key);
      const id = key.slice(2);
      if (key.startsWith('s:')) dirty.services.add(id);
      else if (key.startsWith('k:')) dirty.slots.add(id);
      else if (key.startsWith('v:')) dirty.networks.add(id);
      else dirty.nodes.add(id);
    }
  }

  #push(entry: { readonly atMs: number; readonly key: WakeKey }): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): { readonly atMs: number; readonly key: WakeKey } {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
