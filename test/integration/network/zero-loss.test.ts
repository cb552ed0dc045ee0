import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { OverlayCluster } from '../../support/overlay/cluster.ts';
import { updatesUnderLoad } from '../../support/overlay/updates.ts';
import { missingForContainers } from '../containers/prerequisites.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
const UPDATES = 5;
const PER_SECOND_EACH = 200;

describe('containers behind a published port, under load', { skip: missing || false }, () => {
  let cluster: OverlayCluster;

  before(async () => {
    cluster = await OverlayCluster.up(3);
  });
  after(() => cluster?.down());

  it(`${UPDATES} updates, stop-first and start-first, lose no request`, async (t) => {
    const result = await updatesUnderLoad(cluster, UPDATES, PER_SECOND_EACH);
    const { sent, answered, lost, resent, versions } = result;
    t.diagnostic(`${sent} requests to 3 nodes, ${lost.length} lost, ${resent} sent again`);
    assert.deepEqual(lost.slice(0, 40), []);
    assert.equal(answered, sent);
    assert.ok(versions > UPDATES, `${versions} versions answered`);
  });
});
