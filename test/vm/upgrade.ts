import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { AssignedTask } from '../../proto/index.ts';
import {
  ContainerdWorld,
  PrivateContainerd,
} from '../../worker/runtime/containerd/containerd.fixture.ts';
import type { Life } from '../../worker/runtime/runtime.contract.ts';
import { tempDir } from '../support/swarm.ts';
import { RELEASES, releaseRoot } from './debian.ts';

const never = new AbortController().signal;
const PROBE_MS = 10_000;

/**
 * Containers started by this machine's containerd go on while the containerds of later releases of Debian
 * take its place one after the other, each over what the one before left, as an upgrade of the package does.
 */
export async function upgrade(): Promise<void> {
  const directory = tempDir();
  const later: string[] = [];
  for (const release of RELEASES) later.push(await enginesOf(release, directory.path));
  const engine = new PrivateContainerd();
  const world = new ContainerdWorld(engine);
  let life: Life | undefined;
  try {
    await engine.start();
    await world.load();
    life = await world.open();
    const started = [await startOne(world, life)];
    for (const programs of later) {
      await life.kill();
      await engine.kill();
      await engine.start(programs);
      life = await world.open();
      for (const task of started) await goesOn(world, life, task);
      started.push(await startOne(world, life));
    }
    for (const task of started) await ends(life, task);
    assert.deepEqual(world.leftovers(), [], 'what is left of them');
    console.log(`All ${started.length} ran to their end under the last one, and nothing is left.`);
  } finally {
    await life?.kill();
    await world.close();
    await engine.close();
    directory.remove();
  }
}

/** A directory with its containerd and shim alone: its runc needs a newer C library than this machine's. */
async function enginesOf(release: string, beside: string): Promise<string> {
  const root = await releaseRoot(release);
  const place = join(beside, release);
  mkdirSync(place);
  for (const name of ['containerd', 'containerd-shim-runc-v2'])
    symlinkSync(join(root, 'usr', 'bin', name), join(place, name));
  return place;
}

async function startOne(world: ContainerdWorld, life: Life): Promise<AssignedTask> {
  const { features } = await life.runtime.probe();
  console.log(`containerd ${features['containerd']}`);
  const task = world.task('talk');
  const controller = life.runtime.controller(task);
  await controller.prepare(never);
  await controller.start(never);
  await world.ready(task);
  return task;
}

/** The same process, which talks and can be looked into. */
async function goesOn(world: ContainerdWorld, life: Life, task: AssignedTask): Promise<void> {
  const found = (await life.runtime.list()).find(({ taskId }) => taskId === task.id);
  assert.equal(found?.running, true, 'it is taken over');
  const controller = life.runtime.controller(task);
  assert.equal(world.starts(task), 1, 'it was started once');
  const said = world.output(task).length;
  const { code, output } = await controller.probeCommand(['cat', '/data/seed'], PROBE_MS);
  assert.deepEqual({ code, output }, { code: 0, output: 'from the image\n' });
  assert.ok(world.output(task).length > said, 'its output is in its log');
}

async function ends(life: Life, task: AssignedTask): Promise<void> {
  const controller = life.runtime.controller(task);
  await controller.terminate();
  const { code } = await controller.wait(never);
  assert.equal(code, 137);
  await controller.remove();
}
