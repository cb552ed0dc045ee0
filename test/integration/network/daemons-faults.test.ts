import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SeededRandom } from '../../../shared/random.ts';
import { OverlayCluster } from '../../support/overlay/cluster.ts';
import { faultRounds } from '../../support/overlay/fault-rounds.ts';
import { missingForContainers } from '../containers/prerequisites.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
const SEED = 7;
const MINUTES = 2;

describe('networks of three nodes under random faults', { skip: missing || false }, () => {
  let cluster: OverlayCluster;

  before(async () => {
    cluster = await OverlayCluster.up(3, ['--node-grace', '2s']);
  });
  after(() => cluster?.down());

  it('are right five seconds after each, and lose nothing then', async (t) => {
    const random = new SeededRandom(SEED);
    const faults = await faultRounds(cluster, random, MINUTES * 60_000, (line) =>
      t.diagnostic(line),
    );
    const { rounds, sent, lost, agreedMs } = faults;
    t.diagnostic(`${rounds} rounds, agreed after ${Math.round(agreedMs)} ms at most`);
    t.diagnostic(`${lost} of ${sent} requests lost while there were faults`);
    assert.ok(rounds > 0);
  });
});
