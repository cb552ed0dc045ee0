import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disk } from '../../../manager/database/index.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { Counters } from './counters.ts';
import { SimDisk } from './sim-disk.ts';
import { Timeline } from './timeline.ts';

const PROCESS = { isDead: false, pausedUntilMs: 0 };

/** Runs this on a disk; `crashed`: the process died of what its disk was told before. */
async function on(
  seed: number,
  diesAfter: number | undefined,
  work: (disk: Disk) => Promise<void>,
): Promise<{ readonly disk: SimDisk; readonly crashed: boolean; readonly names: string[] }> {
  const timeline = new Timeline();
  let crashed = false;
  const disk = new SimDisk(timeline, new SeededRandom(seed), new Counters(), () => {
    crashed = true;
    disk.crash();
  });
  disk.mood.diesAfter = diesAfter;
  const asProcess = disk.as(PROCESS, () => undefined);
  void work(asProcess);
  await timeline.run(1_000, () => undefined);
  return {
    disk,
    crashed,
    names: [...(await asProcess.list('/d')), ...(await asProcess.list('/e'))],
  };
}

async function make(disk: Disk): Promise<void> {
  await disk.makeDirectory('/d');
  await disk.overwrite('/d/file', Buffer.from('text'));
  await disk.rename('/d', '/e');
  await disk.syncDirectory('/');
  await disk.remove('/e');
}

test('a process dies in the middle of the step that was drawn, and does nothing more', async () => {
  const deaths = await Promise.all([0, 2, 4].map((steps) => on(1, steps, make)));
  assert.deepEqual(
    deaths.map(({ crashed, names }) => [crashed, names.length]),
    [
      [true, 0],
      [true, 1],
      [true, 1],
    ],
  );
  assert.equal((await on(1, 5, make)).crashed, false);
});

test('a rename is lost with a crash before its directory is synced, now and then, and never behind it', async () => {
  const seeds = Array.from({ length: 40 }, (_, seed) => seed);
  const exists = async (steps: number): Promise<number> => {
    const runs = await Promise.all(seeds.map((seed) => on(seed, steps, make)));
    const there = await Promise.all(
      runs.map(({ disk }) => disk.as(PROCESS, () => undefined).exists('/e')),
    );
    return there.filter(Boolean).length;
  };
  const early = await exists(3);
  assert.ok(early > 0 && early < seeds.length, String(early));
  assert.equal(await exists(4), seeds.length);
});
