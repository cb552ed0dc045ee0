import type { NodeRecord } from '../node-index.ts';

/**
 * Nodes in the order in which they take tasks: those where this revision keeps failing last, then
 * the fewest tasks of the service, then the fewest tasks. One number holds all three.
 */
const BAD = 2 ** 52;
const OWN = 2 ** 31;

export function scoreOf(tasks: number, ownTasks: number, bad: boolean): number {
  return (bad ? BAD : 0) + Math.min(ownTasks, 2 ** 20) * OWN + tasks;
}

/** A heap of nodes that gives the best one again and again, a little worse each time. */
export class NodeHeap {
  readonly #nodes: NodeRecord[];
  readonly #scores: Float64Array;
  #size: number;

  constructor(nodes: readonly NodeRecord[], score: (node: NodeRecord) => number) {
    this.#nodes = [...nodes];
    this.#size = nodes.length;
    this.#scores = new Float64Array(this.#size);
    for (let at = 0; at < this.#size; at++) this.#scores[at] = score(this.#nodes[at]!);
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The best node that `isFree`; nodes that are not leave the heap for good. */
  take(isFree: (node: NodeRecord) => boolean): NodeRecord | undefined {
    while (this.#size > 0) {
      const best = this.#nodes[0]!;
      if (isFree(best)) {
        this.#scores[0]! += OWN + 1;
        this.#sink(0);
        return best;
      }
      this.#size--;
      this.#nodes[0] = this.#nodes[this.#size]!;
      this.#scores[0] = this.#scores[this.#size]!;
      this.#sink(0);
    }
    return undefined;
  }

  #sink(from: number): void {
    const nodes = this.#nodes;
    const scores = this.#scores;
    const node = nodes[from]!;
    const score = scores[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && isBefore(nodes, scores, child + 1, child)) child++;
      const least = scores[child]!;
      if (least > score || (least === score && nodes[child]!.at > node.at)) break;
      nodes[at] = nodes[child]!;
      scores[at] = least;
      at = child;
    }
    nodes[at] = node;
    scores[at] = score;
  }
}

function isBefore(nodes: NodeRecord[], scores: Float64Array, a: number, b: number): boolean {
  const difference = scores[a]! - scores[b]!;
  return difference < 0 || (difference === 0 && nodes[a]!.at < nodes[b]!.at);
}

/** The best node for a single task: cheaper than a heap. */
export function bestOf(
  nodes: readonly NodeRecord[],
  score: (node: NodeRecord) => number,
  isFree: (node: NodeRecord) => boolean,
): NodeRecord | undefined {
  let best: NodeRecord | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const node of nodes) {
    const own = score(node);
    if (own < least && isFree(node)) {
      best = node;
      least = own;
    }
  }
  return best;
}

/**
 * Nodes by the number of their tasks, for services that have none yet: built once a turn and shared
 * by all of them. Numbers only grow while tasks are placed, so a stale one is found at the top.
 */
export class LoadHeap {
  readonly #nodes: NodeRecord[];
  readonly #loads: Float64Array;

  constructor(nodes: readonly NodeRecord[]) {
    this.#nodes = [...nodes];
    this.#loads = Float64Array.from(nodes, (node) => node.tasks);
    for (let at = (nodes.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The node with the fewest tasks; of equals the first. It stays where it is. */
  least(): NodeRecord | undefined {
    for (;;) {
      const top = this.#nodes[0];
      if (top === undefined || this.#loads[0] === top.tasks) return top;
      this.#loads[0] = top.tasks;
      this.#sink(0);
    }
  }

  #sink(from: number): void {
    const nodes = this.#nodes;
    const loads = this.#loads;
    const node = nodes[from]!;
    const load = loads[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= nodes.length) break;
      if (child + 1 < nodes.length && isBefore(nodes, loads, child + 1, child)) child++;
      const least = loads[child]!;
      if (least > load || (least === load && nodes[child]!.at > node.at)) break;
      nodes[at] = nodes[child]!;
      loads[at] = least;
      at = child;
    }
    nodes[at] = node;
    loads[at] = load;
  }
}
