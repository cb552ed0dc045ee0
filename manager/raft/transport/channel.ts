import type { RaftAck } from '../../../proto/index.ts';
import { type RaftFrame, RaftFrame as RaftFrameCodec, RaftService } from '../../../proto/index.ts';
import { Backoff } from '../../../shared/backoff.ts';
import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import type { Client, Duplex } from '../../../shared/rpc/rpc.ts';
import { entriesSize, type Message, MessageType } from '../core/index.ts';
import { toWire } from './wire.ts';

/** A frame is closed when it has this many bytes of entries; one entry alone may have more. */
const FRAME_BYTES = 2 << 20;
const MESSAGE_BYTES = 64;
const REDIAL_MIN_MS = 50;
const REDIAL_MAX_MS = 1_000;

export type ChannelKind = 'control' | 'append';

export interface ChannelDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Where the peer is; undefined while that is not known. */
  readonly address: () => string | undefined;
  readonly dial: (address: string) => Client;
  readonly frame: (messages: RaftFrame['messages']) => RaftFrame;
  /** What was to be sent is lost. */
  readonly dropped: () => void;
  readonly broke: () => void;
  readonly acknowledged: (ack: RaftAck) => void;
}

/**
 * One long-lived stream to one peer, on a connection of its own. Sending never blocks and never
 * queues beyond its limit: what does not fit is dropped, which raft repairs.
 */
export class Channel {
  readonly #kind: ChannelKind;
  readonly #deps: ChannelDeps;
  readonly #backoff: Backoff;
  #client: Client | undefined;
  /** Address of the last attempt. */
  #dialed: string | undefined;
  #stream: Duplex<RaftAck, RaftFrame> | undefined;
  #retryAtMs = 0;
  #pending: Message[] = [];
  #unsentFrames = 0;
  #closed = false;

  constructor(kind: ChannelKind, deps: ChannelDeps) {
    this.#kind = kind;
    this.#deps = deps;
    this.#backoff = new Backoff(deps.random, REDIAL_MIN_MS, REDIAL_MAX_MS);
  }

  /**
   * Sent together with what else is sent in this turn of the event loop: after its microtasks, so
   * that an answered proposer's next entry comes in time to take the news of the commit along.
   */
  send(message: Message): void {
    if (this.#closed) return;
    this.#pending.push(message);
    if (this.#pending.length === 1) process.nextTick(() => this.#flush());
  }

  /** A frame with nothing in it: whether this member still is one, the peer answers to any. */
  ask(): void {
    const stream = this.#closed ? undefined : this.#open();
    if (stream) this.#sendFrame(stream, []);
  }

  close(): void {
    this.#closed = true;
    this.#pending = [];
    this.#stream?.end();
    this.#stream = undefined;
    this.#client?.close();
    this.#client = undefined;
  }

  #flush(): void {
    const messages = this.#pending;
    this.#pending = [];
    if (this.#closed || messages.length === 0) return;
    const stream = this.#open();
    if (stream === undefined) {
      this.#deps.dropped();
      return;
    }
    let frame: Message[] = [];
    let bytes = 0;
    for (const [at, message] of messages.entries()) {
      if (isOutdone(message, messages[at + 1])) continue;
      frame.push(message);
      bytes += MESSAGE_BYTES + entriesSize(message.entries);
      if (bytes < FRAME_BYTES) continue;
      this.#sendFrame(stream, frame);
      frame = [];
      bytes = 0;
    }
    if (frame.length > 0) this.#sendFrame(stream, frame);
  }

  #sendFrame(stream: Duplex<RaftAck, RaftFrame>, messages: readonly Message[]): void {
    const bytes = RaftFrameCodec.encode(this.#deps.frame(messages.map(toWire)));
    const isIdle = stream.unsentBytes === 0;
    if (isIdle) this.#unsentFrames = 0;
    const fits =
      stream.unsentBytes + bytes.length <= LIMITS.raftPeerQueueBytesMax &&
      this.#unsentFrames < LIMITS.raftPeerQueueMessagesMax;
    if (!fits && !isIdle) {
      this.#deps.dropped();
      return;
    }
    this.#unsentFrames++;
    stream.sendEncoded(bytes);
  }

  #open(): Duplex<RaftAck, RaftFrame> | undefined {
    const address = this.#deps.address();
    if (this.#dialed !== address) this.#leave();
    if (this.#stream) return this.#stream;
    if (address === undefined || this.#deps.clock.monotonicMs() < this.#retryAtMs) return undefined;
    this.#dialed = address;
    this.#client = this.#deps.dial(address);
    const stream = this.#client.duplex(RaftService[this.#kind]);
    this.#stream = stream;
    this.#unsentFrames = 0;
    stream.onDrain(() => {
      // One that is given up may still drain: that says nothing of what the next one holds.
      if (this.#stream !== stream) return;
      this.#unsentFrames = 0;
      this.#backoff.reset();
    });
    stream.onMessage((ack) => this.#deps.acknowledged(ack));
    stream.onClose(() => this.#lost(stream));
    return stream;
  }

  /** The peer has moved: where it was nobody may answer, nor refuse, for a long time. */
  #leave(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.destroy();
    this.#client?.close();
    this.#client = undefined;
    this.#dialed = undefined;
    this.#retryAtMs = 0;
  }

  #lost(stream: Duplex<RaftAck, RaftFrame>): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#client?.close();
    this.#client = undefined;
    this.#retryAtMs = this.#deps.clock.monotonicMs() + this.#backoff.nextDelayMs();
    if (this.#closed) return;
    this.#deps.dropped();
    this.#deps.broke();
  }
}

/**
 * Whether `next`, to the same peer, says all that `message` says: then losing the first changes
 * nothing, and neither has to be answered twice. An append without entries brings only the commit
 * index, which the next append has too; an acceptance covers all entries before it.
 */
function isOutdone(message: Message, next: Message | undefined): boolean {
  if (next === undefined || next.type !== message.type || next.term !== message.term) return false;
  if (message.type === MessageType.App) {
    return message.entries.length === 0 && next.commit >= message.commit;
  }
  if (message.type !== MessageType.AppResp || message.reject || next.reject) return false;
  return next.index >= message.index;
}
