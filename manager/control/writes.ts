import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { Draft, UpdateOptions } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { noQuorum } from './no-quorum.ts';

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
