import { RaftService } from '../../proto/index.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Message } from './core/index.ts';
import { stateRange } from './keys.ts';
import type { Identity } from './meta.ts';
import type { PeerDirectory } from './peers.ts';
import { toChunks } from './snapshot-chunks.ts';
import type { HeldSnapshot, SnapshotSource } from './snapshot-source.ts';
import { toWire } from './wire.ts';

/** Sent at the same time, at most; others are tried again by raft. */
const AT_ONCE = 2;
/** A transfer that takes longer is given up; gigabytes fit in. */
const DEADLINE_MS = 10 * 60_000;

export interface SnapshotSenderDeps {
  readonly identity: Identity;
  readonly directory: PeerDirectory;
  readonly source: SnapshotSource;
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

  async #run(
    message: Message,
    address: string,
    held: HeldSnapshot,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clusterId, epoch, raftId: from } = this.#deps.identity;
    const client = this.#deps.dial(address);
    const header = {
      clusterId,
      epoch,
      from,
      to: message.to,
      message: toWire(message),
      resumeAfter: 0,
    };
    const rows = held.rows.iterate(stateRange(held.applied.generation));
    this.#deps.log.info({ to: message.to, index: held.applied.index }, 'sending a snapshot');
    try {
      const options = { timeoutMs: DEADLINE_MS, signal };
      const ack = await client.clientStream(RaftService.snapshot, toChunks(header, rows), options);
      if (!ack.installed)
        this.#deps.log.warn({ to: message.to, reason: ack.reason }, 'snapshot refused');
      return ack.installed;
    } catch (error) {
      this.#deps.log.warn(
        { to: message.to, reason: messageOf(error) },
        'sending a snapshot failed',
      );
      return false;
    } finally {
      await rows.return(undefined);
      client.close();
    }
  }
}
