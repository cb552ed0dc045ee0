import { createHash } from 'node:crypto';
import { BackupHeader, StoredRow } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import type { DbSnapshot } from '../database/index.ts';
import { META, stateRange } from '../raft/storage/keys.ts';
import type { Applied, Identity } from '../raft/storage/meta.ts';
import { decodeJson } from '../raft/storage/meta.ts';
import { rowOf } from '../raft/storage/row-record.ts';
import type { RowChange } from '../replication.ts';
import { decodeRow, storedMoment } from '../store/apply.ts';
import { SCHEMA, type TableName } from '../store/schema.ts';
import { BACKUP_FORMAT, BackupReader, BackupWriter } from './backup-records.ts';

/** What a finished backup holds. Sizes and digest are of the file. */
export interface BackupSummary {
  readonly clusterId: string;
  readonly epoch: number;
  readonly index: number;
  readonly wallMs: number;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: Uint8Array;
  readonly services: number;
  readonly nodes: number;
}

/** The raft position of the rows in a snapshot of the database. */
export function positionOf(snapshot: DbSnapshot): Applied {
  return decodeJson<Applied>(snapshot.getSync(META.applied), 'the applied index');
}

/**
 * The bytes of a backup of `snapshot`, sealed with `key`; the summary is what the generator returns.
 * Checked while it is made: every row is decoded, and every piece is opened and read again. The
 * snapshot stays the caller's. Throws DAMAGED, naming the row, or PRECONDITION where there is none yet.
 */
export async function* backUp(
  snapshot: DbSnapshot,
  key: Uint8Array,
  wallMs: number,
  random: Random,
): AsyncGenerator<Buffer, BackupSummary> {
  const { clusterId, epoch, nodeId } = decodeJson<Identity>(
    snapshot.getSync(META.identity),
    'its identity',
  );
  const { index, term, generation } = positionOf(snapshot);
  if (index === 0) throw nothingYet();
  const format = BACKUP_FORMAT;
  const header = BackupHeader.create({ format, clusterId, epoch, index, term, wallMs, nodeId });
  const writer = new BackupWriter(key, random);
  const checked = new CheckedBytes(key);
  const counts = new Map<string, number>();
  yield checked.pass(writer.begin(header));
  for await (const slice of snapshot.slices(stateRange(generation))) {
    for (const found of slice) {
      const row = rowOf(found);
      checkRow(row);
      counts.set(row.table, (counts.get(row.table) ?? 0) + 1);
      const piece = writer.row(toStored(row));
      if (piece !== undefined) yield checked.pass(piece);
    }
  }
  yield checked.pass(writer.end());
  const { bytes, sha256 } = checked.end();
  const services = counts.get('service') ?? 0;
  const nodes = counts.get('node') ?? 0;
  return { clusterId, epoch, index, wallMs, rows: writer.rows, bytes, sha256, services, nodes };
}

function nothingYet(): SwarmError {
  return new SwarmError(
    'PRECONDITION',
    'This manager has not received the state of its cluster yet.',
    {
      advice: 'Ask another manager, or wait until it is listed as one: swarm node ls.',
    },
  );
}

/** Reads what is written, as a restore will. */
class CheckedBytes {
  readonly #reader: BackupReader;
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(key: Uint8Array) {
    this.#reader = new BackupReader(key);
  }
  pass(piece: Buffer): Buffer {
    this.#reader.push(piece);
    this.#hash.update(piece);
    this.#bytes += piece.length;
    return piece;
  }
  end(): { readonly bytes: number; readonly sha256: Uint8Array } {
    this.#reader.end();
    return { bytes: this.#bytes, sha256: this.#hash.digest() };
  }
}

function toStored({ table, id, version, bytes, secret }: RowChange): StoredRow {
  return StoredRow.create({ table, id, version, row: bytes ?? new Uint8Array(), secret });
}
export function fromStored({ table, id, version, row, secret }: StoredRow): RowChange {
  return { table, id, version, bytes: row, secret };
}

/** A row that this release can load: of a known table, and decodable. Throws DAMAGED. */
export function checkRow(row: RowChange): void {
  if (storedMoment(row) !== undefined) return;
  const name = row.table as TableName;
  try {
    if (!Object.hasOwn(SCHEMA, name) || row.bytes === undefined) throw new Error('no such table');
    decodeRow(name, row.id, row.version, row.bytes);
  } catch (cause) {
    throw new SwarmError('DAMAGED', `The row ${row.table}/${row.id} cannot be read.`, { cause });
  }
}
