import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DiskFaults } from './disk-faults.ts';
import { Judges } from './judges.ts';

const STEP_BYTES = 64;

describe('a fault of the disk below the real LevelDB', () => {
  let root = '';
  let judges: Judges;
  let faults: DiskFaults;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-flips-'));
    judges = new Judges(root, 2);
    faults = await DiskFaults.prepare(root, judges);
  });
  after(async () => {
    await judges.close();
    await rm(root, { recursive: true, force: true });
  });

  test('one flipped bit in any file is found, or changes nothing', async (t) => {
    const { states, problems } = await faults.flips(STEP_BYTES);
    assert.deepEqual(problems, []);
    assert.ok(faults.counts.damaged > states / 2, JSON.stringify(faults.counts));
    t.diagnostic(`${states} flips: ${JSON.stringify(faults.counts)}`);
  });

  test('a file that is lost, cut or full of zeros is found, or changes nothing', async () => {
    const { problems } = await faults.losses();
    assert.deepEqual(problems, []);
  });
});
