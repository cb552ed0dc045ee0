import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SeededRandom } from '../../../shared/random.ts';
import { Kills } from './kills.ts';
import { LoneManager } from './lone-manager.ts';

const MANAGERS = 2;
const KILLS_EACH = 20;

describe('a manager that is killed', () => {
  let root = '';
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-kills-'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  test('has everything it acknowledged, and no half of a change, at its next start', async (t) => {
    const loops = Array.from({ length: MANAGERS }, async (_, n) => {
      const directory = join(root, `m${n}`);
      await LoneManager.create(directory);
      const kills = new Kills(directory, new SeededRandom(n));
      while (kills.kills < KILLS_EACH) assert.equal(await kills.once(), '', `kill ${kills.kills}`);
      return kills.changes;
    });
    const changes = (await Promise.all(loops)).reduce((sum, count) => sum + count, 0);
    assert.ok(changes > 0);
    t.diagnostic(`${MANAGERS * KILLS_EACH} kills, ${changes} changes acknowledged`);
  });
});
