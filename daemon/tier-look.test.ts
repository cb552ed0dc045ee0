import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../shared/clock.ts';
import type { Obstacle, OverlayTier } from './overlay-tier.ts';
import { TierLook } from './tier-look.ts';

const no = (why: string, stays = false): Obstacle => ({ found: false, why, stays });
const carrying = (why: string): OverlayTier => ({
  found: true,
  dataAddress: '192.168.99.11',
  mtu: 1_500,
  tunnel: why === '' ? { found: true, kind: 'kernel' } : { found: false, why },
});

describe('what keeps a node from carrying networks', () => {
  it('is looked at until its address has come', async () => {
    const { told, tries, machine, pass } = looking(no('no such address'), no('no such address'));
    await pass(600_000);
    assert.deepEqual([told, tries.count], [[], 0]);
    machine.obstacle = undefined;
    machine.found = carrying('');
    await pass(2_000);
    assert.deepEqual(told, [carrying('')]);
    await pass(600_000);
    assert.deepEqual([told.length, tries.count], [1, 1]);
  });
  it('is tried once a minute where nothing but a try can tell', async () => {
    const { told, tries, machine, pass } = looking(no('nft is not installed'), undefined);
    machine.found = no('nft is not installed');
    await pass(600_000);
    assert.deepEqual([told, tries.count], [[], 10]);
    machine.found = no('the kernel has no VXLAN');
    await pass(60_000);
    machine.found = carrying('');
    await pass(60_000);
    assert.deepEqual(told, [no('the kernel has no VXLAN'), carrying('')]);
  });
  it('is told anew when something else is in the way', async () => {
    const { told, machine, pass } = looking(no('no such address'), no('no such address'));
    machine.obstacle = no('another node has them');
    await pass(2_000);
    assert.deepEqual(told, [no('another node has them')]);
  });
  it('is looked at no more when it stays, and after the end', async () => {
    const staying = looking(no('the daemon is not root', true), no('the daemon is not root', true));
    const ended = looking(no('no such address'), no('no such address'));
    ended.look.stop();
    for (const { machine, pass, told, tries } of [staying, ended]) {
      machine.obstacle = undefined;
      await pass(600_000);
      assert.deepEqual([told, tries.count], [[], 0]);
    }
  });
  it('may be encryption alone, which is looked for as well', async () => {
    const { told, tries, machine, pass } = looking(carrying('wg is not installed'), undefined);
    machine.found = carrying('');
    await pass(60_000);
    assert.deepEqual([told, tries.count], [[carrying('')], 1]);
  });
});

/** A look that has begun, at a machine that tests change. */
function looking(tier: OverlayTier, obstacle: Obstacle | undefined) {
  const clock = new ManualClock();
  const told: OverlayTier[] = [];
  const tries = { count: 0 };
  const machine = { obstacle, found: tier };
  const find = async (): Promise<OverlayTier> => {
    tries.count++;
    return machine.found;
  };
  const look = new TierLook({
    clock,
    obstacle: () => machine.obstacle,
    find,
    onOther: (other) => told.push(other),
  });
  look.start(tier);
  const pass = async (ms: number): Promise<void> => {
    for (let atMs = 0; atMs < ms; atMs += 2_000) {
      clock.advance(2_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { told, tries, machine, look, pass };
}
