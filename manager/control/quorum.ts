import { type Node, Role } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { View } from '../store/view.ts';

/**
 * Throws PRECONDITION when taking the role from this manager would leave none, or would leave the
 * rest without a live majority. Counts who is to stay a manager, so that several demotions at once
 * are judged as a whole.
 */
export function refuseLossOfQuorum(
  view: View,
  node: Node,
  isLive: (nodeId: string) => boolean,
): void {
  const managers = [...view.table('node').all()].filter(
    (other) => other.role === Role.MANAGER && other.id !== node.id && !other.removing,
  );
  if (managers.length === 0)
    throw new SwarmError('PRECONDITION', `${node.name} is the last manager`, {
      advice: 'Promote another node first; to end the cluster: swarm leave --force.',
      command: 'swarm node promote NODE',
    });
  const voters = managers.filter((other) => isVoter(view, other.id));
  if (voters.length === 0)
    throw new SwarmError('PRECONDITION', `${node.name} is the only manager that votes so far`, {
      advice: 'Wait until the promoted node is a manager: swarm node ls.',
      command: 'swarm node ls',
    });
  const live = voters.filter((other) => isLive(other.id));
  const needed = Math.floor(voters.length / 2) + 1;
  if (live.length >= needed) return;
  const missing = voters.filter((other) => !isLive(other.id)).map((other) => other.name);
  throw new SwarmError(
    'PRECONDITION',
    `without ${node.name} the cluster would lose its quorum: ${needed} of ${voters.length} managers ` +
      `must answer, and ${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not`,
    {
      advice: `Start ${missing.join(', ')} first, or demote what is lost for good.`,
      command: `swarm node demote ${missing[0]}`,
      details: { missing: missing.join(',') },
    },
  );
}

function isVoter(view: View, nodeId: string): boolean {
  return view.table('member').get(nodeId)?.phase === 'voter';
}
