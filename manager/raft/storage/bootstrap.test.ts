import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Disk, systemDisk } from '../../database/index.ts';
import { wipeMember } from './bootstrap.ts';

test('a wipe that was cut short anywhere is ended by the next one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-wipe-'));
  try {
    const killed = new Error('killed');
    for (let steps = 0, isDone = false; !isDone; steps++) {
      await mkdir(join(folder, 'raft'));
      await writeFile(join(folder, 'raft', 'key'), 'of the data');
      let left = steps;
      const step = (work: () => Promise<void>) => (left-- > 0 ? work() : Promise.reject(killed));
      const disk: Disk = {
        ...systemDisk,
        remove: (path) => step(() => systemDisk.remove(path)),
        rename: (from, to) => step(() => systemDisk.rename(from, to)),
        syncDirectory: (path) => step(() => systemDisk.syncDirectory(path)),
      };
      isDone = await wipeMember(join(folder, 'raft'), disk).then(
        () => true,
        (error) => {
          assert.equal(error, killed);
          return false;
        },
      );
      if (!isDone) await wipeMember(join(folder, 'raft'), systemDisk);
      assert.deepEqual(await readdir(folder), [], `after ${steps} steps`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
