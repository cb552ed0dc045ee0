import { messageOf, SwarmError } from '../../shared/errors.ts';

/** What ends a member: an error that somebody has named, or a bug. */
export function fatalError(error: unknown): SwarmError {
  if (SwarmError.is(error)) return error;
  const text = `a broken invariant in raft: ${messageOf(error)}`;
  return new SwarmError('INTERNAL', text, { cause: error });
}
