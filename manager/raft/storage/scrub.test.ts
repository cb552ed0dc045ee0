import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import type { SwarmError } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { Database, type Engine, openLevel, systemDisk } from '../../database/index.ts';
import type { RowChange } from '../../replication.ts';
import { createFirstMember } from './bootstrap.ts';
import { META, rowKey } from './keys.ts';
import { rowOp } from './row-record.ts';
import { Scrub } from './scrub.ts';

const GENERATION = 1;
const ROWS: RowChange[] = Array.from({ length: 2_500 }, (_, i) => {
  const bytes = Buffer.from(`row ${i}`);
  return { table: 'task', id: `${i}`.padStart(4, '0'), version: 1, bytes, secret: i % 2 === 0 };
});

describe('what lies on disk for a day', () => {
  const clock = new ManualClock();
  let root: string;
  let engine: Engine;
  let db: Database;
  let scrub: Scrub;
  let failed: SwarmError[];
  let rewritten: Promise<void>[];
  let isAlone: boolean;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-scrub-'));
    const directory = join(root, 'raft');
    const random = new SeededRandom(1);
    const member = { clusterId: 'c', epoch: 0, nodeId: 'n', raftId: 1, address: 'n:1' };
    await createFirstMember(directory, member, ROWS, {
      disk: systemDisk,
      random,
      openEngine: openLevel,
    });
    db = await Database.open(directory, {
      clock,
      disk: systemDisk,
      random,
      log: silentLog,
      openEngine: async (folder) => {
        engine = await openLevel(folder);
        return engine;
      },
      onPoison: () => undefined,
    });
    failed = [];
    rewritten = [];
    isAlone = false;
    scrub = new Scrub({
      clock,
      db,
      log: silentLog,
      generation: () => GENERATION,
      row: (table, id) => ROWS.find((row) => row.table === table && row.id === id),
      rewrite: (row) => rewritten.push(db.write([rowOp(GENERATION, row)], { sync: true })),
      isAlone: () => isAlone,
      failed: (error) => failed.push(error),
    });
  });
  afterEach(async () => {
    await db.close();
    await rm(root, { recursive: true });
  });

  /** Flips a bit of a stored value, beside the seal. */
  async function rot(key: Uint8Array): Promise<void> {
    const value = Uint8Array.from((await engine.get(key))!);
    value[value.length - 1]! ^= 1;
    await engine.write([{ key, value }], true);
  }
  /** As many looks as a whole pass has. */
  async function pass(): Promise<void> {
    clock.advance(LIMITS.scrubEveryMs);
    for (let look = 0; look < 5; look++) {
      await scrub.tick();
      clock.advance(1_000);
    }
    await Promise.all(rewritten);
  }

  test('a damaged row is written anew from memory', async () => {
    const keys = [0, 1, 2_499].map((at) => rowKey(GENERATION, 'task', ROWS[at]!.id));
    for (const key of keys) await rot(key);
    await assert.rejects(db.get(keys[0]!), { code: 'DAMAGED' });
    await pass();
    for (const key of keys) assert.match(Buffer.from((await db.get(key))!).toString(), /row \d+$/);
    assert.deepEqual(failed, []);
  });

  test('before its time nothing is read', async () => {
    const key = rowKey(GENERATION, 'task', ROWS[0]!.id);
    await rot(key);
    clock.advance(LIMITS.scrubEveryMs - 1_000);
    await scrub.tick();
    await assert.rejects(db.get(key), { code: 'DAMAGED' });
  });

  test('damage that memory has no copy of ends a member that has others', async () => {
    await rot(META.boundary);
    await pass();
    assert.equal(failed.length, 1);
    assert.equal(failed[0]!.code, 'DAMAGED');
  });

  test('the only manager goes on with what it has', async () => {
    isAlone = true;
    await rot(META.boundary);
    await pass();
    assert.deepEqual(failed, []);
  });

  test('rows that are on their way out are nobody’s loss', async () => {
    const key = rowKey(GENERATION + 1, 'task', 'old');
    await db.write([{ key, value: Buffer.from('old'), secret: false }], { sync: true });
    await rot(key);
    await pass();
    assert.deepEqual(failed, []);
  });
});
