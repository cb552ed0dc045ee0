import { attributeOf } from '../constraint.ts';
import type { NodeRecord } from '../node-index.ts';
import { NodeHeap } from './choose.ts';

/**
 * Placement preferences: nodes as a tree, one level for each preference, a branch for each value (a
 * missing label is one too). Branches of a level get equal numbers of the service's tasks.
 */
export class SpreadTree {
  readonly #root: Branch;

  constructor(
    nodes: readonly NodeRecord[],
    preferences: readonly string[],
    ownTasks: (node: NodeRecord) => number,
    score: (node: NodeRecord) => number,
  ) {
    this.#root = grow(nodes, preferences, ownTasks, score);
  }
  take(isFree: (node: NodeRecord) => boolean): NodeRecord | undefined {
    return pick(this.#root, isFree);
  }
}

interface Branch {
  tasks: number;
  readonly children: Branch[];
  readonly leaf: NodeHeap | undefined;
}

function grow(
  nodes: readonly NodeRecord[],
  preferences: readonly string[],
  ownTasks: (node: NodeRecord) => number,
  score: (node: NodeRecord) => number,
): Branch {
  let tasks = 0;
  for (const node of nodes) tasks += ownTasks(node);
  const [preference, ...rest] = preferences;
  if (preference === undefined) return { tasks, children: [], leaf: new NodeHeap(nodes, score) };
  const groups = new Map<string, NodeRecord[]>();
  for (const node of nodes) {
    const value = attributeOf(preference, node.node!, node.status) ?? '';
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [node]);
    else group.push(node);
  }
  const children = [...groups.values()].map((group) => grow(group, rest, ownTasks, score));
  return { tasks, children, leaf: undefined };
}

function pick(branch: Branch, isFree: (node: NodeRecord) => boolean): NodeRecord | undefined {
  if (branch.leaf !== undefined) {
    const node = branch.leaf.take(isFree);
    if (node !== undefined) branch.tasks++;
    return node;
  }
  while (branch.children.length > 0) {
    let least = 0;
    for (let at = 1; at < branch.children.length; at++)
      if (branch.children[at]!.tasks < branch.children[least]!.tasks) least = at;
    const node = pick(branch.children[least]!, isFree);
    if (node !== undefined) {
      branch.tasks++;
      return node;
    }
    branch.children.splice(least, 1);
  }
  return undefined;
}
