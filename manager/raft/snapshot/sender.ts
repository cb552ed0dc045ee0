import {
  RaftService,
  type SnapshotAck,
  type SnapshotChunk,
  type SnapshotHeader,
} from '../../../proto/index.ts';
import { type Clock, delay } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Log } from '../../../shared/log.ts';
import type { Client } from '../../../shared/rpc/rpc.ts';
import type { Message } from '../core/index.ts';
import { stateRange } from '../storage/keys.ts';
import type { Identity } from '../storage/meta.ts';
import type { PeerDirectory } from '../transport/peers.ts';
import { toWire } from '../transport/wire.ts';
import { toChunks } from './chunks.ts';
import { paced } from './pace.ts';
import type { HeldSnapshot, SnapshotSource } from './source.ts';

/** Sent at the same time, at most; others are tried again by raft. */
const AT_ONCE = 2;
/** A transfer that takes longer is given up; gigabytes fit in. */
const DEADLINE_MS = 10 * 60_000;
/** Streams of one snapshot that may break before it is given up; raft then begins a new one. */
const TRIES_MAX = 5;
const RESUME_MS = 200;
const ASK_MS = 5_000;

export interface SnapshotSenderDeps {
  readonly identity: Identity;
  readonly directory: PeerDirectory;
  readonly source: SnapshotSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly dial: (address: string) => Client;
  /** What became of it. */
  readonly reported: (raftId: number, ok: boolean) => void;
}

/** Streams the rows of a LevelDB snapshot to a member whose next entry is compacted away. */
export class SnapshotSender {
  readonly #deps: SnapshotSenderDeps;
  readonly #running = new Map<number, AbortController>();

  constructor(deps: SnapshotSenderDeps) {
    this.#deps = deps;
  }

  /** Takes the core's Snap message. The outcome is reported, not returned. */
  send(message: Message): void {
    const raftId = message.to;
    const address = this.#deps.directory.get(raftId)?.address;
    const isFree = this.#running.size < AT_ONCE && !this.#running.has(raftId);
    const held =
      isFree && message.snapshot ? this.#deps.source.hold(message.snapshot.index) : undefined;
    if (!address || !held) {
      held?.release();
      queueMicrotask(() => this.#deps.reported(raftId, false));
      return;
    }
    const abort = new AbortController();
    this.#running.set(raftId, abort);
    void this.#run(message, address, held, abort.signal).then((ok) => {
      this.#running.delete(raftId);
      held.release();
      this.#deps.reported(raftId, ok);
    });
  }

  stop(): void {
    for (const abort of this.#running.values()) abort.abort();
  }

  /** Several streams of one snapshot, when the line breaks: each goes on where the last one ended. */
  async #run(
    message: Message,
    address: string,
    held: HeldSnapshot,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock, log } = this.#deps;
    const to = message.to;
    log.info({ to, index: held.applied.index }, 'sending a snapshot');
    let resumeAfter = 0;
    for (let tries = 1; ; tries++) {
      try {
        const ack = await this.#send(message, address, held, resumeAfter, signal);
        if (!ack.installed) log.warn({ to, reason: ack.reason }, 'snapshot refused');
        return ack.installed;
      } catch (error) {
        log.warn({ to, reason: messageOf(error), resumeAfter }, 'sending a snapshot failed');
        if (tries === TRIES_MAX) return false;
      }
      await delay(clock, RESUME_MS * tries);
      if (signal.aborted) return false;
      resumeAfter = await this.#ask(message, address, signal).catch(() => 0);
    }
  }

  async #send(
    message: Message,
    address: string,
    held: HeldSnapshot,
    resumeAfter: number,
    signal: AbortSignal,
  ): Promise<SnapshotAck> {
    const { clock, dial } = this.#deps;
    const client = dial(address);
    const rows = held.rows.iterate(stateRange(held.applied.generation));
    const chunks = toChunks(this.#header(message, resumeAfter), rows);
    try {
      return await client.clientStream(
        RaftService.snapshot,
        paced(chunks, LIMITS.snapshotBytesPerSecondMax, clock),
        { timeoutMs: DEADLINE_MS, signal },
      );
    } finally {
      await rows.return(undefined);
      client.close();
    }
  }

  /** A header alone is answered with how much of this snapshot is there. */
  async #ask(message: Message, address: string, signal: AbortSignal): Promise<number> {
    const client = this.#deps.dial(address);
    const header = this.#header(message, 0);
    try {
      const ack = await client.clientStream(RaftService.snapshot, only(header), {
        timeoutMs: ASK_MS,
        signal,
      });
      return ack.resumeAfter;
    } finally {
      client.close();
    }
  }

  #header(message: Message, resumeAfter: number): SnapshotHeader {
    const { clusterId, epoch, raftId: from } = this.#deps.identity;
    return { clusterId, epoch, from, to: message.to, message: toWire(message), resumeAfter };
  }
}

async function* only(header: SnapshotHeader): AsyncGenerator<SnapshotChunk, void> {
  yield { header, sequence: 0, keys: [], values: [], crc: 0, trailer: null };
}
