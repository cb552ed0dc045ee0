import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../../../shared/random.ts';
import type { Io } from '../../../worker/io.ts';
import { SimFiles } from './sim-files.ts';
import { Timeline } from './timeline.ts';

const FOREVER = { isDead: false, pausedUntilMs: 0 };
/** Whatever a power cut may take, it takes. */
const WORST = { below: (count: number) => count - 1 } as Random;

/** What a power cut leaves of the file `/d/name` when these were done before it. */
async function leftBy(...steps: ((io: Io) => Promise<void> | void)[]): Promise<string | undefined> {
  const timeline = new Timeline();
  const files = new SimFiles(timeline, WORST);
  const io = files.as(FOREVER);
  const work = async (): Promise<void> => {
    for (const step of steps) await step(io);
  };
  const done = work();
  await timeline.run(1_000, () => undefined);
  await done;
  files.powerCut();
  return io.read('/d/name')?.toString();
}
const write = (path: string, text: string) => (io: Io) => io.write(path, Buffer.from(text));
const sync = (path: string) => (io: Io) => io.fsync(path);
const rename = (io: Io): void => io.rename('/d/new', '/d/name');

test('a file is there behind a power cut when it and its directory were synced', async () => {
  const path = '/d/name';
  assert.equal(await leftBy(write(path, 'text')), undefined);
  assert.equal(await leftBy(write(path, 'text'), sync(path)), undefined);
  assert.equal(await leftBy(write(path, 'text'), sync('/d')), '');
  assert.equal(await leftBy(write(path, 'text'), sync(path), sync('/d')), 'text');
});

test('a file that is replaced is the old one until the directory is synced', async () => {
  const old = [write('/d/name', 'old'), sync('/d/name'), sync('/d')];
  const renamed = [...old, write('/d/new', 'new'), sync('/d/new'), rename];
  assert.equal(await leftBy(...renamed), 'old');
  assert.equal(await leftBy(...renamed, sync('/d')), 'new');
});
