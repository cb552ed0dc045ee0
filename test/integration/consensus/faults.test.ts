import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SeededRandom } from '../../../shared/random.ts';
import { dial } from '../../../shared/rpc/client.ts';
import { registers } from '../../conformance/linearizability/models.ts';
import { isLinearizable } from '../../conformance/linearizability/wgl.ts';
import { FAULTS } from '../../support/consensus/faults.ts';
import { ManagerHosts, missingForHosts } from '../../support/consensus/hosts.ts';
import type { Recorded } from '../../support/consensus/load.ts';
import { serviceRegister } from '../../support/consensus/registers.ts';
import { Trial } from '../../support/consensus/trial.ts';

const OPERATIONS = 20_000;
const missing = missingForHosts();
const skip = missing === '' ? false : missing;

/** Real daemons on hosts of their own, hurt while clients work; everything that they saw is judged. */
for (const count of [3, 5] as const)
  describe(`${count} managers under load`, { skip }, () => {
    let cluster: ManagerHosts;
    let trial: Trial;

    before(async () => {
      cluster = await ManagerHosts.up(count);
      trial = await Trial.begin(cluster, 'first', new SeededRandom(count));
    });
    after(async () => {
      await trial?.load.stop().catch(() => undefined);
      await cluster?.down();
    });

    for (const fault of FAULTS.filter(({ managers }) => managers === count))
      test(fault.name, async () => {
        const startMs = performance.now();
        await trial.run(fault);
        console.log(
          `${Math.round(performance.now() - startMs)} ms, ${trial.load.recorded} operations`,
        );
      });

    test(`one order explains ${OPERATIONS} operations and what became of each`, async () => {
      await trial.end(OPERATIONS).finally(() => console.log(trial.load.counts));
    });

    test('every manager has the same in the end', () => trial.compare());

    if (count === 3)
      test('the judge is not blind: an answer from the past, which a user may ask for, is noticed', async () => {
        const leader = await cluster.leader();
        const [follower] = cluster.others(leader);
        const [there, here] = [dial(leader.socket), dial(follower!.socket)];
        const register = await serviceRegister(there, 'past');
        const { key } = register;
        await register.read(here);
        await cluster.cutBoth([follower!], cluster.others(follower!));
        await register.write(there, 'new', 0, 'past-write');
        const { value, isStale } = await register.read(here, 'stale');
        const written: Recorded = {
          call: 1,
          end: 2,
          input: { key, kind: 'write', value: 'new' },
          output: {},
        };
        const read: Recorded = { call: 3, end: 4, input: { key, kind: 'read' }, output: { value } };
        assert.equal(isStale, true);
        assert.equal(isLinearizable(registers, [written, read]), false);
        await cluster.heal();
        for (const client of [there, here]) client.close();
      });
  });
