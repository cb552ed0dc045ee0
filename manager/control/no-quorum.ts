import type { RaftMemberStatus, RaftStatus } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';

/** NO_QUORUM with the managers that do not answer. */
export function noQuorum(status: RaftStatus, cause?: unknown): SwarmError {
  const voters = status.members.filter((member) => member.role !== 'learner');
  const missing = voters.filter((member) => !member.active && member.raftId !== status.raftId);
  const needed = Math.floor(voters.length / 2) + 1;
  const who =
    missing.length === 0
      ? 'an election is going on'
      : `missing: ${missing.map(memberText).join(', ')}`;
  return new SwarmError(
    'NO_QUORUM',
    `no manager leads: ${needed} of ${voters.length} managers must answer; ${who}`,
    {
      cause,
      details: { missing: missing.map((member) => member.nodeId).join(',') },
      ...(missing.length === 0
        ? { advice: 'Try again in a second.' }
        : {
            advice: 'Start the missing managers. Only when they are lost for good:',
            command: 'swarm cluster recover',
          }),
    },
  );
}

function memberText(member: RaftMemberStatus): string {
  return `${member.nodeName || member.nodeId} (${member.address})`;
}
