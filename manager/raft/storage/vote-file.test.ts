import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemDisk } from '../../database/index.ts';
import { VoteFile } from './vote-file.ts';

test('a vote that cannot be written says that the disk failed, not that raft is broken', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'swarm-vote-'));
  t.after(() => rm(directory, { recursive: true }));
  await VoteFile.create(directory, systemDisk, { term: 1, vote: 0, durableIndex: 0 });
  const overwrite = () => Promise.reject(new Error('input/output error'));
  const file = await VoteFile.open(directory, { ...systemDisk, overwrite });
  await assert.rejects(file!.write({ term: 2, vote: 1, durableIndex: 0 }), { code: 'STATE_DIR' });
  assert.equal(file!.newest.term, 1);
});
