import assert from 'node:assert/strict';
import { access, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openLevel, systemDisk } from '../../../manager/database/index.ts';
import { createFirstMember } from '../../../manager/raft/index.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { readContent } from './content.ts';
import { RecordedDisk } from './recorded-disk.ts';

const MEMBER = { clusterId: 'c', epoch: 0, nodeId: 'n', raftId: 1, address: 'a:1' };
const ROW = { table: 'node', id: 'n', version: 1, bytes: Buffer.from('row'), secret: true };

describe('a crash while the state of a first manager is made', () => {
  let root = '';
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-made-'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  test('leaves nothing or everything, and making it again succeeds', async () => {
    const home = join(root, 'home');
    const copies = join(root, 'copies');
    await mkdir(home);
    await mkdir(copies);
    const recorded = new RecordedDisk(home, copies);
    await make(home, recorded);
    const whole = await readContent(join(home, 'raft'));
    assert.ok(recorded.points.length >= 4, 'key, two vote files, batches');
    for (const { before: state, step } of recorded.points) {
      const work = join(root, 'work');
      await rm(work, { recursive: true, force: true });
      await cp(state, work, { recursive: true });
      const isThere = await access(join(work, 'raft')).then(
        () => true,
        () => false,
      );
      if (!isThere) await make(work, { disk: systemDisk, openEngine: openLevel });
      const found = await readContent(join(work, 'raft'));
      assert.deepEqual({ ...found, digest: '' }, { ...whole, digest: '' }, step);
    }
  });

  function make(home: string, { disk, openEngine }: Pick<RecordedDisk, 'disk' | 'openEngine'>) {
    const random = new SeededRandom(1);
    return createFirstMember(join(home, 'raft'), MEMBER, [ROW], { disk, random, openEngine });
  }
});
