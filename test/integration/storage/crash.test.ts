import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CrashCheck, describePoints } from './crash-check.ts';
import { Judges } from './judges.ts';
import { runScript, type Script } from './script.ts';

const TORN_EACH = 8;

describe('a crash at a write of the real LevelDB', () => {
  let root = '';
  let script: Script;
  let judges: Judges;
  let check: CrashCheck;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-crash-'));
    script = await runScript(root);
    judges = new Judges(root, 2);
    check = new CrashCheck(script, judges);
  });
  after(async () => {
    await judges.close();
    await rm(root, { recursive: true, force: true });
  });

  test('leaves what was before or what is after, and all that was promised', async (t) => {
    const { states, problems } = await check.everyWrite(TORN_EACH);
    assert.deepEqual(problems, []);
    t.diagnostic(`${describePoints(script.points)}, ${states} states`);
  });

  test('leaves the same at every byte of the last two batches', async (t) => {
    const { states, problems } = await check.lastTwoBatches();
    assert.deepEqual(problems, []);
    t.diagnostic(`${states} states`);
  });
});
