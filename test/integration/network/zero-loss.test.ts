import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { OverlayCluster } from '../../support/overlay/cluster.ts';
import { updatesUnderLoad } from '../../support/overlay/updates.ts';
import { missingForContainers } from '../containers/prerequisites.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
const UPDATES = 5;
const PER_SECOND_EACH = 200;

describe('a service of containers under load in the overlay tier', {
  skip: missing || false,
}, () => {
  let cluster: OverlayCluster;

  before(async () => {
    cluster = await OverlayCluster.up(3);
  });
  after(() => cluster?.down());

  it(`loses no request while ${UPDATES} updates roll through it`, async (t) => {
    const { sent, answered, lost, resent, versions } = await updatesUnderLoad(
      cluster,
      UPDATES,
      PER_SECOND_EACH,
    );
    t.diagnostic(`${sent} requests to 3 nodes, ${lost.length} lost, ${resent} resent`);
    assert.deepEqual(lost, []);
    assert.equal(answered, sent);
    assert.equal(versions, UPDATES + 1, 'every version has answered');
  });
});
