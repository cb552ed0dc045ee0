import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NestedRandom } from '../engine/nested-random.ts';
import type { Machine, World } from './machine.ts';
import { Operator, type OperatorDeps } from './operator.ts';

test('no backup is taken of an epoch that has ended, and none is restored', async () => {
  const world = { random: new NestedRandom(1), checker: { newestEpoch: 2 } } as unknown as World;
  const operator = new Operator({ world } as OperatorDeps);
  const process = new Proxy({}, { get: () => assert.fail('it was looked at') });
  const machine = { process, isUp: true, epoch: 1 } as unknown as Machine;
  await operator.takeBackup(machine);
  operator.restore(machine);
  assert.equal(operator.isBusy, false);
});
