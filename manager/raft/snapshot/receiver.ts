import type { SnapshotAck, SnapshotChunk, SnapshotHeader } from '../../../proto/index.ts';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { CallContext } from '../../../shared/rpc/rpc.ts';
import type { Database, DbOp } from '../../database/index.ts';
import type { Message } from '../core/index.ts';
import { stateRange } from '../storage/keys.ts';
import type { Identity } from '../storage/meta.ts';
import type { PeerDirectory } from '../transport/peers.ts';
import { senderProblem } from '../transport/transport.ts';
import { fromWire } from '../transport/wire.ts';
import { ChunkReader } from './chunks.ts';
import type { InstallResult } from './installer.ts';

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

/** Rows of a snapshot that are on disk: everything that `reader` has read. */
interface Begun {
  readonly id: string;
  readonly generation: number;
  readonly reader: ChunkReader;
}

/** Writes a snapshot's rows beside those in force; one batch of the log writer switches. */
export class SnapshotReceiver {
  readonly #deps: SnapshotReceiverDeps;
  #busy = false;
  /** What came before its stream broke; a restart forgets it. */
  #partial: Begun | undefined;

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
    let header: SnapshotHeader | undefined;
    let current: Begun | undefined;
    for await (const chunk of chunks) {
      if (header === undefined) {
        header = this.#checkHeader(chunk, context);
        continue;
      }
      current ??= await this.#begin(header);
      const ops = this.#read(current, chunk);
      // Synced one by one: LevelDB changes its log file without a sync, and what is in the old one
      // could be lost after the switch.
      if (ops.length > 0) await db.write(ops, { sync: true });
    }
    const message = header?.message;
    if (!header || !message) return refusal('a snapshot without a header');
    if (!current?.reader.isComplete) return cutOff(this.#matching(header)?.reader.last ?? 0);
    this.#partial = undefined;
    const { generation } = current;
    const result = await this.#deps.install(fromWire(message), generation);
    if (result === 'installed') return { installed: true, resumeAfter: 0, reason: '' };
    if (result === 'stopped') return refusal('this manager is stopping');
    await db.clear(stateRange(generation), { sync: true });
    return refusal('it is older than what is here');
  }

  /** Goes on where an earlier stream of the same snapshot broke, or begins anew. */
  async #begin(header: SnapshotHeader): Promise<Begun> {
    const known = this.#matching(header);
    if (header.resumeAfter > 0) {
      if (known?.reader.last === header.resumeAfter) {
        this.#deps.log.info({ after: known.reader.last }, 'receiving a snapshot goes on');
        return known;
      }
      throw new SwarmError('UNREACHABLE', 'the beginning of this snapshot is not here any more');
    }
    const generation = this.#deps.generation() + 1;
    this.#partial = undefined;
    await this.#deps.db.clear(stateRange(generation), { sync: true });
    const id = snapshotId(header);
    this.#partial = { id, generation, reader: new ChunkReader(generation) };
    return this.#partial;
  }

  #matching(header: SnapshotHeader): Begun | undefined {
    const partial = this.#partial;
    const isSame = partial?.id === snapshotId(header);
    return isSame && partial.generation === this.#deps.generation() + 1 ? partial : undefined;
  }

  #read(partial: Begun, chunk: SnapshotChunk): DbOp[] {
    try {
      return partial.reader.read(chunk);
    } catch (error) {
      // What is wrong once is not gone on with.
      this.#partial = undefined;
      throw error;
    }
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

function snapshotId({ from, message }: SnapshotHeader): string {
  return `${from}/${message?.snapshot?.term}/${message?.snapshot?.index}`;
}

function cutOff(resumeAfter: number): SnapshotAck {
  return { installed: false, resumeAfter, reason: 'the snapshot ended before its end' };
}

function refusal(reason: string): SnapshotAck {
  return { installed: false, resumeAfter: 0, reason };
}
