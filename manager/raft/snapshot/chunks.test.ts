import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SnapshotChunk } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { DbRow } from '../../database/index.ts';
import { rowKey } from '../storage/keys.ts';
import { ChunkReader, toChunks } from './chunks.ts';

const HEADER = { clusterId: 'c', epoch: 0, from: 1, to: 2, message: null, resumeAfter: 0 };
const ROWS: DbRow[] = Array.from({ length: 500 }, (_, i) => {
  return { key: rowKey(3, 'task', `${i}`), value: Buffer.alloc(2_000, i), secret: i % 2 === 0 };
});

async function* source(): AsyncGenerator<DbRow> {
  yield* ROWS;
}
/** As they arrive: encoded, decoded, the header taken off. */
async function sent(): Promise<SnapshotChunk[]> {
  const chunks = [];
  for await (const chunk of toChunks(HEADER, source())) {
    chunks.push(SnapshotChunk.decode(SnapshotChunk.encode(chunk)));
  }
  return chunks.slice(1);
}

describe('a snapshot on the wire', () => {
  test('arrives as the same rows of another generation', async () => {
    const reader = new ChunkReader(8);
    const ops = (await sent()).flatMap((chunk) => reader.read(chunk));
    assert.equal(reader.isComplete, true);
    assert.equal(ops.length, ROWS.length);
    assert.deepEqual(Buffer.from(ops[1]!.key), Buffer.from(rowKey(8, 'task', '1')));
    assert.deepEqual(Buffer.from(ops[1]!.value!), ROWS[1]!.value);
    assert.deepEqual([ops[0]!.secret, ops[1]!.secret], [true, false]);
  });

  test('has chunks of limited size', async () => {
    for (const chunk of await sent()) {
      const bytes = chunk.values.reduce((sum, value) => sum + value.length, 0);
      assert.ok(bytes < LIMITS.snapshotChunkBytesMax + 4_000);
    }
  });

  test('is refused with a chunk missing, twice, changed or without its end', async () => {
    const chunks = await sent();
    const read = (list: readonly SnapshotChunk[]) => {
      const reader = new ChunkReader(8);
      for (const chunk of list) reader.read(chunk);
      return reader.isComplete;
    };
    assert.throws(() => read([chunks[0]!, ...chunks.slice(2)]), /out of order/);
    assert.throws(() => read([chunks[0]!, chunks[0]!]), /out of order/);
    const changed = Buffer.from(chunks[0]!.values[3]!);
    changed[9]! ^= 1;
    const values = chunks[0]!.values.with(3, changed);
    assert.throws(() => read([SnapshotChunk.with(chunks[0]!, { values })]), /checksum/);
    assert.equal(read(chunks.slice(0, -1)), false);
  });
});
