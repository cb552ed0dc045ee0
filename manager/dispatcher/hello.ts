import { type Hello, Liveness, NodeDescription, type NodeStatus } from '../../proto/index.ts';
import type { Draft, Store, View } from '../store/view.ts';
import { putLiveness } from './liveness-clocks.ts';
import { boundedFailures, checkNode } from './report-bounds.ts';
import { hasVolumes, putVolumes } from './status-writer.ts';

/**
 * Commits what a hello says about its node; writes nothing when the row says all of it. Throws
 * INVALID_ARGUMENT where it says too much.
 */
export async function commitHello(store: Store, hello: Hello, peerAddress: string): Promise<void> {
  checkNode(hello.description, hello.volumes);
  const patch = {
    description: hello.description,
    address: hostOf(peerAddress),
    publishAddress: hello.publishAddress,
    listenFailures: boundedFailures(hello.listenFailures),
  };
  const { nodeId, volumes } = hello;
  if (isKnown(store.view, nodeId, patch) && hasVolumes(store.view, nodeId, volumes)) return;
  await store.update(
    (draft: Draft) => {
      putVolumes(draft, nodeId, volumes);
      return putLiveness(draft, nodeId, Liveness.READY, '', patch);
    },
    { writer: 'status' },
  );
}

type Patch = Pick<NodeStatus, 'description' | 'address' | 'publishAddress' | 'listenFailures'>;

function isKnown(view: View, nodeId: string, patch: Patch): boolean {
  const row = view.table('nodeStatus').get(nodeId);
  if (row === undefined || row.liveness !== Liveness.READY) return false;
  return (
    row.address === patch.address &&
    row.publishAddress === patch.publishAddress &&
    row.listenFailures.length === 0 &&
    patch.listenFailures.length === 0 &&
    isSameDescription(row.description, patch.description)
  );
}

function isSameDescription(left: NodeDescription | null, right: NodeDescription | null): boolean {
  if (left === null || right === null) return left === right;
  return Buffer.compare(NodeDescription.encode(left), NodeDescription.encode(right)) === 0;
}

/** The host of host:port, [v6]:port or a bare v6 address with a port behind it. */
function hostOf(address: string): string {
  const at = address.lastIndexOf(':');
  return (at < 0 ? address : address.slice(0, at)).replace(/^\[|\]$/g, '');
}
