import type { SnapshotAck, SnapshotChunk, SnapshotHeader } from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { Database } from '../database/index.ts';
import type { Message } from './core/index.ts';
import { stateRange } from './keys.ts';
import type { Identity } from './meta.ts';
import type { PeerDirectory } from './peers.ts';
import { ChunkReader } from './snapshot-chunks.ts';
import type { InstallResult } from './snapshot-installer.ts';
import { senderProblem } from './transport.ts';
import { fromWire } from './wire.ts';

export interface SnapshotReceiverDeps {
  readonly identity: Identity;
  readonly directory: PeerDirectory;
  readonly db: Database;
  readonly log: Log;
  /** Generation of the rows in force. */
  readonly generation: () => number;
  /**
   * The rows of `generation` are whole: gives the message to the core. Resolves when they are in
   * force and loaded, or when the core did not take it.
   */
  readonly install: (message: Message, generation: number) => Promise<InstallResult>;
}

/** Writes a snapshot's rows beside those in force; one batch of the log writer switches. */
export class SnapshotReceiver {
  readonly #deps: SnapshotReceiverDeps;
  #busy = false;

  constructor(deps: SnapshotReceiverDeps) {
    this.#deps = deps;
  }

  async receive(chunks: AsyncIterable<SnapshotChunk>, context: CallContext): Promise<SnapshotAck> {
    if (this.#busy) return refusal('another snapshot is being received');
    this.#busy = true;
    try {
      return await this.#receive(chunks, context);
    } catch (error) {
      this.#deps.log.warn({ reason: messageOf(error) }, 'receiving a snapshot failed');
      return refusal(messageOf(error));
    } finally {
      this.#busy = false;
    }
  }

  async #receive(chunks: AsyncIterable<SnapshotChunk>, context: CallContext): Promise<SnapshotAck> {
    const { db } = this.#deps;
    const generation = this.#deps.generation() + 1;
    const reader = new ChunkReader(generation);
    let header: SnapshotHeader | undefined;
    for await (const chunk of chunks) {
      if (header === undefined) {
        header = this.#checkHeader(chunk, context);
        await db.clear(stateRange(generation), { sync: true });
        continue;
      }
      const ops = reader.read(chunk);
      // Synced one by one: LevelDB changes its log file without a sync, and what is in the old one
      // could be lost after the switch.
      if (ops.length > 0) await db.write(ops, { sync: true });
    }
    const message = header?.message;
    if (!message || !reader.isComplete) return refusal('the snapshot ended before its end');
    const result = await this.#deps.install(fromWire(message), generation);
    if (result === 'installed') return { installed: true, resumeAfter: 0, reason: '' };
    if (result === 'stopped') return refusal('this manager is stopping');
    await db.clear(stateRange(generation), { sync: true });
    return refusal('it is older than what is here');
  }

  #checkHeader(chunk: SnapshotChunk, context: CallContext): SnapshotHeader {
    const { header } = chunk;
    if (header === null || header.message === null) {
      throw new SwarmError('INVALID_ARGUMENT', 'a snapshot without a header');
    }
    const problem = senderProblem(header, context, this.#deps.identity, this.#deps.directory);
    if (problem !== undefined) throw new SwarmError('FORBIDDEN', problem);
    return header;
  }
}

function refusal(reason: string): SnapshotAck {
  return { installed: false, resumeAfter: 0, reason };
}
