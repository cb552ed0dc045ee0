import { Network, NodeState } from '../../../proto/index.ts';
import { isOverlayNode } from '../addressing/needs.ts';
import { INGRESS } from '../addressing/predefined.ts';
import type { Turn } from '../turn.ts';

/** Nodes that can carry traffic between containers get the number that others know them by. */
export function numberNodes(turn: Turn): void {
  const { draft } = turn;
  for (const id of turn.dirty.nodes) {
    if (turn.left.nodes.has(id) || !draft.table('node').has(id)) continue;
    if (!isOverlayNode(draft.table('nodeStatus').get(id))) continue;
    makeIngress(turn);
    const before = draft.table('nodeState').get(id) ?? NodeState.create({ id });
    if (before.index === 0) number(turn, before);
  }
}

function number(turn: Turn, before: NodeState): void {
  const index = turn.addresses.freeNodeIndex();
  if (index === 0) {
    const text = 'no number is free for it: it is left out of overlay networks';
    turn.tell('node', 'no-number', before.id, turn.nodeName(before.id), text);
    return;
  }
  const after = NodeState.with(before, { index });
  turn.draft.put('nodeState', after);
  turn.addresses.nodeChanged(before.id, after);
  turn.dirty.placement = true;
}

/** The network of published ports is there from the first node on that can use it. */
function makeIngress(turn: Turn): void {
  if (turn.draft.table('network').has(INGRESS)) return;
  const network = Network.create({
    id: INGRESS,
    spec: { name: INGRESS, driver: 'overlay' },
    createdWallMs: turn.draft.wallMs,
  });
  turn.draft.put('network', network);
  turn.dirty.networks.add(INGRESS);
}
