import type { RaftMemberStatus, RaftStatus } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { Draft, UpdateOptions } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';

/** What a write is answered with: kept as JSON under its request id, so plain values only. */
export type Written = { readonly [key: string]: string | number | boolean } | undefined;

/** What of a user's call goes with the change that it asks for. */
export type Asked = Pick<UpdateOptions, 'requestId' | 'timeoutMs'>;

/** A change by a user: through the leader's queue, once for each request id. */
export function write<R extends Written>(
  deps: Pick<ControlDeps, 'store' | 'raft'>,
  context: CallContext,
  fn: (draft: Draft) => R,
): Promise<R> {
  return asked(deps, context, (options) => deps.store.update(fn, { writer: 'users', ...options }));
}

/** Any change that a user asks for. Without a quorum the error says which managers are missing. */
export async function asked<R>(
  deps: Pick<ControlDeps, 'raft'>,
  context: CallContext,
  change: (options: Asked) => Promise<R>,
): Promise<R> {
  const requestId = context.requestId === '' ? {} : { requestId: context.requestId };
  try {
    const timeoutMs = Math.min(context.timeoutMs, LIMITS.writeDeadlineMs);
    return await change({ timeoutMs, ...requestId });
  } catch (error) {
    const lost = SwarmError.is(error) && (error.code === 'NOT_LEADER' || error.code === 'DROPPED');
    if (lost && deps.raft.leader() === undefined) throw noQuorum(deps.raft.status(), error);
    throw error;
  }
}

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
