import { type JoinRaftRequest, type JoinRaftResponse, RaftService } from '../proto/index.ts';
import { Backoff } from '../shared/backoff.ts';
import { type Clock, delay, type Timer } from '../shared/clock.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { newRaftId } from '../shared/ids.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';
import type { Client } from '../shared/rpc/rpc.ts';
import { type BootstrapDeps, createJoiningMember } from './raft/index.ts';

/** How a node becomes a member of the managers, and finds out when it is none any more. */

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
/** What only a leader answers: nobody else knows better. */
const LEADERS_WORD: ReadonlySet<string> = new Set(['REMOVED', 'PRECONDITION']);
/** A member that hears no leader at two looks asks whether it still is one. */
const LOOK_MS = 5_000;

export interface JoiningDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly nodeId: string;
  readonly clusterId: string;
  /** host:port of this node's control port. */
  readonly address: string;
  /** host:port of managers that this node knows. */
  managers(): readonly string[];
  /** A connection of its own; closed by who asked for it. */
  dial(address: string): Client;
}

/**
 * Asks the leader to take this node in as a member with a raft id never used before, and makes its
 * empty state in `directory`. `damage`: what was wrong with the state that it had; empty where it
 * had none. `failed` hears of every try. Rejects with STATE_DIR, or UNREACHABLE after `stop`.
 */
export async function joinManagers(
  directory: string,
  damage: string,
  deps: JoiningDeps,
  state: BootstrapDeps,
  failed: (error: unknown) => void,
  stop: AbortSignal,
): Promise<void> {
  const { clock, random, nodeId, clusterId, address } = deps;
  let raftId = newRaftId(random);
  const backoff = new Backoff(random, RETRY_MIN_MS, RETRY_MAX_MS);
  for (;;) {
    if (stop.aborted)
      throw new SwarmError('UNREACHABLE', 'this node stops before it joined the managers');
    try {
      const answer = await askManagers({ nodeId, raftId, address, damage, epoch: 0 }, deps);
      const peers = answer.peers.map((peer) => ({
        raftId: peer.raftId,
        nodeId: peer.nodeId,
        address: peer.address,
      }));
      const member = { clusterId, epoch: answer.epoch, nodeId, raftId: answer.raftId };
      await createJoiningMember(directory, member, peers, state);
      return;
    } catch (error) {
      if (SwarmError.is(error) && error.code === 'STATE_DIR') throw error;
      // An answer was lost, and this one was in and out again.
      if (SwarmError.is(error) && error.code === 'REMOVED') raftId = newRaftId(random);
      deps.log.warn({ reason: messageOf(error) }, 'the managers did not take this node in yet');
      failed(error);
    }
    await delay(clock, backoff.nextDelayMs());
  }
}

/**
 * Any manager will do: who does not lead names the leader. Rejects with what the leader says, or else
 * with the last one's error.
 */
export async function askManagers(
  request: JoinRaftRequest,
  deps: Pick<JoiningDeps, 'managers' | 'dial'>,
): Promise<JoinRaftResponse> {
  const asked = new Set<string>();
  const waiting = [...deps.managers()];
  let last: unknown = new SwarmError('UNREACHABLE', 'no address of a manager is known');
  for (let address = waiting.shift(); address !== undefined; address = waiting.shift()) {
    if (asked.has(address) || address === request.address) continue;
    asked.add(address);
    const client = deps.dial(address);
    try {
      return await client.unary(RaftService.joinRaft, request, {
        timeoutMs: LIMITS.joinDeadlineMs,
      });
    } catch (error) {
      last = error;
      if (SwarmError.is(error) && LEADERS_WORD.has(error.code)) break;
      const leader = SwarmError.is(error) ? error.details['leader'] : undefined;
      if (leader !== undefined && leader !== '') waiting.unshift(leader);
    } finally {
      client.close();
    }
  }
  throw last;
}

/** What `MembershipWatch` needs of the member (`RaftDriver` has it). */
export interface WatchedMember {
  readonly identity: { readonly raftId: number; readonly epoch: number };
  /** It leads, or was spoken to by the leader within an election timeout. */
  readonly hasLeader: boolean;
  /** Asks who is at these addresses: where members that it knows have moved to. Never rejects. */
  find(addresses: readonly string[]): Promise<void>;
}

/**
 * A member hears of its removal from those that it speaks to. One that was taken out before anybody
 * spoke to it, or a learner, speaks to nobody: after a while without a leader it asks. Then it also
 * looks for members that have moved.
 */
export class MembershipWatch {
  readonly #member: WatchedMember;
  readonly #deps: JoiningDeps;
  readonly #onRemoved: () => void;
  #timer: Timer;
  #isAlone = false;
  #stopped = false;

  constructor(member: WatchedMember, deps: JoiningDeps, onRemoved: () => void) {
    this.#member = member;
    this.#deps = deps;
    this.#onRemoved = onRemoved;
    this.#timer = this.#later();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  #later(): Timer {
    return this.#deps.clock.setTimer(LOOK_MS, () => void this.#look());
  }

  /** Asks when it was alone at the last look, too: an election is over by then. */
  async #look(): Promise<void> {
    const wasAlone = this.#isAlone;
    this.#isAlone = !this.#member.hasLeader;
    if (wasAlone && this.#isAlone) await this.#findOthers();
    if (wasAlone && this.#isAlone && (await this.#isRemoved())) {
      this.stop();
      this.#onRemoved();
    }
    if (!this.#stopped) this.#timer = this.#later();
  }

  /** When all have moved at once, one that knows a new address makes itself known there. */
  #findOthers(): Promise<void> {
    const { address, managers } = this.#deps;
    return this.#member.find(managers().filter((other) => other !== address));
  }

  async #isRemoved(): Promise<boolean> {
    const { nodeId, address, log } = this.#deps;
    const { raftId, epoch } = this.#member.identity;
    try {
      await askManagers({ nodeId, raftId, address, damage: '', epoch }, this.#deps);
      return false;
    } catch (error) {
      if (this.#stopped) return false;
      log.info({ reason: messageOf(error) }, 'no leader speaks to this manager');
      return SwarmError.is(error) && error.code === 'REMOVED';
    }
  }
}
