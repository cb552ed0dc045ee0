import { join } from 'node:path';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import { crc32, type Disk } from '../../database/index.ts';
import { putU64, readU64 } from './keys.ts';

/** Term and vote, and how far the log was durable when they were written. */
export interface Vote {
  /** Counts writes; the higher of two records is the newer. */
  readonly sequence: number;
  readonly term: number;
  readonly vote: number;
  /** The log reached at least this entry: one that ends below has lost acknowledged entries. */
  readonly durableIndex: number;
}

const MAGIC = 0x73777674;
const RECORD_BYTES = 40;
const NAMES = ['vote.a', 'vote.b'] as const;

/**
 * The second home of term and vote, outside LevelDB, which may lose its tail without a word. Two
 * files, written in turn, each made durable before anything that depends on it is said: a torn
 * write of one leaves the other, and a torn one was never acted upon.
 */
export class VoteFile {
  readonly #directory: string;
  readonly #disk: Disk;
  #newest: Vote;

  private constructor(directory: string, disk: Disk, newest: Vote) {
    this.#directory = directory;
    this.#disk = disk;
    this.#newest = newest;
  }

  /** Undefined when neither file holds a sound record. */
  static async open(directory: string, disk: Disk): Promise<VoteFile | undefined> {
    let newest: Vote | undefined;
    for (const name of NAMES) {
      const bytes = await disk.readFile(join(directory, name));
      const vote = bytes === undefined ? undefined : decodeVote(bytes);
      if (vote !== undefined && vote.sequence > (newest?.sequence ?? 0)) newest = vote;
    }
    return newest && new VoteFile(directory, disk, newest);
  }

  /** For a new state directory: both files say the same. */
  static async create(directory: string, disk: Disk, first: Omit<Vote, 'sequence'>): Promise<Vote> {
    const file = new VoteFile(directory, disk, { sequence: 0, ...first });
    await file.write(first);
    await file.write(first);
    await disk.syncDirectory(directory);
    return file.newest;
  }

  get newest(): Vote {
    return this.#newest;
  }

  /**
   * Takes over a record that is newer than both files: the one that had it is spoilt. Until it is
   * there again, what was written last would be older than what was said.
   */
  async adopt(vote: Vote): Promise<void> {
    if (vote.sequence > this.#newest.sequence) await this.#put(vote);
  }

  /** Durable when it resolves. Not to be called again before that, or after it rejected (STATE_DIR). */
  async write(vote: Omit<Vote, 'sequence'>): Promise<Vote> {
    const next: Vote = { ...vote, sequence: this.#newest.sequence + 1 };
    await this.#put(next);
    return next;
  }

  async #put(next: Vote): Promise<void> {
    const path = join(this.#directory, NAMES[next.sequence % 2]!);
    await this.#disk.overwrite(path, encodeVote(next)).catch((error: unknown) => {
      const text = `writing the vote file failed: ${messageOf(error)}`;
      throw new SwarmError('STATE_DIR', text, { cause: error });
    });
    this.#newest = next;
  }
}

function encodeVote(vote: Vote): Uint8Array {
  const out = Buffer.alloc(RECORD_BYTES);
  out.writeUInt32BE(MAGIC, 0);
  putU64(out, vote.sequence, 4);
  putU64(out, vote.term, 12);
  putU64(out, vote.vote, 20);
  putU64(out, vote.durableIndex, 28);
  out.writeUInt32BE(crc32(out.subarray(0, 36)), 36);
  return out;
}

/** Undefined when the bytes are not a whole, sound record. */
export function decodeVote(bytes: Uint8Array): Vote | undefined {
  if (bytes.length < RECORD_BYTES) return undefined;
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, RECORD_BYTES);
  if (record.readUInt32BE(0) !== MAGIC) return undefined;
  if (record.readUInt32BE(36) !== crc32(record.subarray(0, 36))) return undefined;
  return {
    sequence: readU64(record, 4),
    term: readU64(record, 12),
    vote: readU64(record, 20),
    durableIndex: readU64(record, 28),
  };
}
