import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { SystemClock } from '../../shared/clock.ts';
import { countsOf, parseGenericOffers } from '../../shared/generic-resources.ts';
import { SystemIo } from '../system-io.ts';
import { GenericUnits } from './generic-units.ts';

const offers = (...texts: string[]) => parseGenericOffers(texts, () => undefined);
const OFFERS = offers('gpu=G1@/dev/g0+/dev/ctl,G2@/dev/g1+/dev/ctl', 'ssd=3')!;

describe('generic resources', () => {
  const directory = mkdtempSync(join(tmpdir(), 'swarm-units-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  const open = () => new GenericUnits(new SystemIo(new SystemClock()), directory, OFFERS);

  it('are declared by number or by name, a kind also in several places', () => {
    assert.deepEqual(countsOf(OFFERS), { gpu: 2, ssd: 3 });
    const joined = offers('gpu=a', 'gpu=b', 'disk=1', 'disk=2')!;
    assert.deepEqual(countsOf(joined), { gpu: 2, disk: 3 });
    for (const text of ['gpu', '=2', 'gpu=a@dev', 'gpu=a,a', 'gpu=a b', 'g pu=1', 'gpu=-1'])
      assert.equal(offers(text), undefined, text);
    assert.equal(offers('gpu=a', 'gpu=2'), undefined);
  });
  it('are never given twice, and come with their devices and names', () => {
    const units = open();
    const first = units.take('t1', { gpu: 1, ssd: 2 });
    assert.deepEqual(first, {
      devices: ['/dev/g0', '/dev/ctl'],
      env: ['DOCKER_RESOURCE_GPU=G1', 'DOCKER_RESOURCE_SSD=2'],
    });
    assert.deepEqual(open().take('t1', { gpu: 1, ssd: 2 }), first);
    assert.deepEqual(open().take('t2', { gpu: 1 }).env, ['DOCKER_RESOURCE_GPU=G2']);
    assert.throws(() => units.take('t3', { gpu: 1 }), { code: 'RESOURCE', temporary: true });
    units.release('t1');
    assert.throws(() => units.take('t3', { gpu: 2 }), { code: 'RESOURCE', temporary: true });
    assert.deepEqual(units.take('t4', { gpu: 1 }).env, ['DOCKER_RESOURCE_GPU=G1']);
  });
  it('of tasks that nobody knows are free again', () => {
    const units = open();
    units.keepOnly(new Set(['t4']));
    assert.throws(() => units.take('t5', { gpu: 2 }), { code: 'RESOURCE' });
    units.keepOnly(new Set());
    assert.equal(units.take('t5', { gpu: 2 }).env[0], 'DOCKER_RESOURCE_GPU=G1,G2');
  });
});
