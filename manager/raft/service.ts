import type { JoinRaftRequest, JoinRaftResponse, RaftService } from '../../proto/index.ts';
import type { CallContext, Handlers } from '../../shared/rpc/rpc.ts';
import type { RaftDriver } from './driver.ts';

/** Admits a promoted node as a member: `Roles.join` of manager/roles. */
export type JoinRaft = (
  request: JoinRaftRequest,
  context: CallContext,
) => Promise<JoinRaftResponse>;

/** What a manager answers other managers; usable as soon as the driver is opened. */
export function raftHandlers(driver: RaftDriver, joinRaft: JoinRaft): Handlers<typeof RaftService> {
  return {
    control: (stream, context) => driver.transport.accept(stream, context),
    append: (stream, context) => driver.transport.accept(stream, context),
    snapshot: (chunks, context) => driver.receiver.receive(chunks, context),
    joinRaft,
  };
}
