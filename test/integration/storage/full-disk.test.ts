import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { messageOf } from '../../../shared/errors.ts';
import { FullDiskRuns } from './full-disk-runs.ts';
import { LoneManager } from './lone-manager.ts';
import { SmallDisk } from './small-disk.ts';

const DISK_BYTES = 40 << 20;
/** What is left for the write at hand: nothing, or enough for a part of it. */
const ROOMS = [0, 8_192];

describe('a disk that fills up', () => {
  let root = '';
  let disk: SmallDisk | undefined;
  let problem = '';
  let runs: FullDiskRuns;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-full-'));
    const base = join(root, 'base');
    await LoneManager.create(base);
    try {
      disk = await SmallDisk.mount(join(root, 'disk'), DISK_BYTES);
    } catch (error) {
      problem = messageOf(error).split('\n').at(-1) ?? '';
      return;
    }
    runs = new FullDiskRuns(disk, (to) => cp(base, to, { recursive: true }));
  });
  after(async () => {
    await disk?.unmount();
    await rm(root, { recursive: true, force: true });
  });

  test('at any write costs no acknowledged change, and nothing is acknowledged after it', async (t) => {
    if (!mayMount(t)) return;
    const writes = await runs.count();
    for (let at = 0; at <= writes; at++) {
      for (const room of ROOMS)
        assert.equal(await runs.fillAt(at, room), '', `write ${at}, ${room}`);
    }
    t.diagnostic(`${writes} writes, ${ROOMS.length} fillings each`);
  });

  function mayMount(t: TestContext): boolean {
    if (disk === undefined) t.skip(`a small disk cannot be mounted here: ${problem}`);
    return disk !== undefined;
  }
});
