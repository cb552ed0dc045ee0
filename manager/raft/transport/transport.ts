import { type RaftAck, type RaftFrame, Role } from '../../../proto/index.ts';
import type { Clock } from '../../../shared/clock.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import type { CallContext, Client, Duplex } from '../../../shared/rpc/rpc.ts';
import { type Message, MessageType } from '../core/index.ts';
import type { Identity } from '../storage/meta.ts';
import { Channel, type ChannelKind } from './channel.ts';
import type { PeerDirectory } from './peers.ts';
import type { Probe } from './probe.ts';
import { fromWire } from './wire.ts';

/** What the transport tells the driver. */
export interface TransportOwner {
  received(messages: readonly Message[]): void;
  unreachable(raftId: number): void;
  /** The connection broke, and nothing listens at the peer's address any more. */
  refused(raftId: number): void;
  /** Another member says that this one was removed. */
  removed(): void;
}

export interface TransportDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A connection of its own with every call: streams that must not stall each other. */
  readonly dial: (address: string) => Client;
  readonly probe: Probe;
}

/** Messages between members: two streams to each peer, so that entries never delay heartbeats. */
export class Transport {
  /**
   * Travels with every frame: a member that was away when the sender joined could not answer it
   * otherwise, and the answer may be the vote that the cluster needs.
   */
  readonly #ownAddress: string;
  readonly #identity: Identity;
  readonly #directory: PeerDirectory;
  readonly #owner: TransportOwner;
  readonly #deps: TransportDeps;
  readonly #channels = new Map<number, Record<ChannelKind, Channel>>();
  readonly #incoming = new Set<Duplex<RaftFrame, RaftAck>>();
  #stopped = false;

  constructor(
    ownAddress: string,
    identity: Identity,
    directory: PeerDirectory,
    owner: TransportOwner,
    deps: TransportDeps,
  ) {
    this.#ownAddress = ownAddress;
    this.#identity = identity;
    this.#directory = directory;
    this.#owner = owner;
    this.#deps = deps;
  }

  /** Never blocks and never fails; what cannot be sent is reported unreachable. */
  send(message: Message): void {
    if (this.#stopped || this.#directory.isRemoved(message.to)) return;
    const kind = message.type === MessageType.App ? 'append' : 'control';
    this.#channelsOf(message.to)[kind].send(message);
  }

  /** Asks whether this member is to go: see `PeerDirectory.isBuried`. */
  ask(raftId: number): void {
    if (!this.#stopped) this.#channelsOf(raftId).control.ask();
  }

  /** Ends the streams to a member that is one no more. */
  forget(raftId: number): void {
    const channels = this.#channels.get(raftId);
    this.#channels.delete(raftId);
    channels?.control.close();
    channels?.append.close();
  }

  /** Serves a Control or Append stream of another member. */
  accept(stream: Duplex<RaftFrame, RaftAck>, context: CallContext): void {
    if (this.#stopped) {
      stream.destroy(new SwarmError('UNREACHABLE', 'this manager is stopping'));
      return;
    }
    this.#incoming.add(stream);
    stream.onClose(() => this.#incoming.delete(stream));
    stream.onMessage((frame) => this.#receive(stream, frame, context));
  }

  stop(): void {
    this.#stopped = true;
    for (const raftId of [...this.#channels.keys()]) this.forget(raftId);
    for (const stream of this.#incoming) {
      stream.destroy(new SwarmError('UNREACHABLE', 'this manager is stopping'));
    }
  }

  #receive(stream: Duplex<RaftFrame, RaftAck>, frame: RaftFrame, context: CallContext): void {
    if (this.#stopped) return;
    if (this.#directory.isBuried(frame.from)) {
      stream.send({ removed: true });
      return;
    }
    const problem = senderProblem(frame, context, this.#identity, this.#directory);
    if (problem !== undefined) {
      this.#deps.log.warn({ from: frame.from, peer: context.peerAddress }, problem);
      stream.destroy(new SwarmError('FORBIDDEN', problem));
      return;
    }
    if (frame.leaderAddress !== '' && context.peer.kind === 'node') {
      const { nodeId } = context.peer;
      this.#directory.learn({ raftId: frame.from, nodeId, address: frame.leaderAddress });
    }
    const messages: Message[] = [];
    // In its own name, and for this member: what is for another would be passed on to it from here.
    for (const raw of frame.messages) {
      if (raw.from === frame.from && raw.to === frame.to) messages.push(fromWire(raw));
    }
    this.#owner.received(messages);
  }

  #channelsOf(raftId: number): Record<ChannelKind, Channel> {
    const known = this.#channels.get(raftId);
    if (known) return known;
    const channels = {
      control: new Channel('control', this.#channelDeps(raftId, 'control')),
      append: new Channel('append', this.#channelDeps(raftId, 'append')),
    };
    this.#channels.set(raftId, channels);
    return channels;
  }

  #channelDeps(raftId: number, kind: ChannelKind) {
    const { clusterId, epoch, raftId: from } = this.#identity;
    return {
      clock: this.#deps.clock,
      random: this.#deps.random,
      address: () => this.#directory.get(raftId)?.address || undefined,
      dial: this.#deps.dial,
      frame: (messages: RaftFrame['messages']) => {
        return { clusterId, epoch, from, to: raftId, leaderAddress: this.#ownAddress, messages };
      },
      dropped: () => {
        if (kind === 'append') this.#owner.unreachable(raftId);
      },
      broke: () => void this.#examine(raftId),
      acknowledged: (ack: RaftAck) => {
        if (ack.removed) this.#owner.removed();
      },
    };
  }

  async #examine(raftId: number): Promise<void> {
    const address = this.#directory.get(raftId)?.address;
    if (!address || this.#stopped) return;
    const result = await this.#deps.probe(address);
    if (result === 'refused' && !this.#stopped) this.#owner.refused(raftId);
  }
}

/**
 * Why a frame is not taken, or undefined. A raft id that is not known yet is taken from any manager
 * of the cluster: a new member hears of its leader's first by being spoken to.
 */
export function senderProblem(
  frame: Pick<RaftFrame, 'clusterId' | 'epoch' | 'from' | 'to'>,
  context: Pick<CallContext, 'peer'>,
  identity: Identity,
  directory: PeerDirectory,
): string | undefined {
  const { peer } = context;
  if (peer.kind !== 'node' || peer.role !== Role.MANAGER) {
    return 'raft messages are taken from managers only';
  }
  if (frame.clusterId !== identity.clusterId) return 'a raft message of another cluster';
  if (frame.epoch !== identity.epoch) return 'a raft message from before the cluster was recovered';
  if (frame.to !== identity.raftId) return 'a raft message for another member';
  const known = directory.get(frame.from)?.nodeId;
  if (known && known !== peer.nodeId) return 'a raft message in the name of another node';
  return undefined;
}
