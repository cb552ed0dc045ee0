import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../shared/clock.ts';
import { HostLook } from './host-look.ts';

test('what changed on the host is told once, within ten seconds, and no more after the end', () => {
  const clock = new ManualClock();
  let [seen, told] = ['10.0.0.0/8', 0];
  const host = new HostLook({ clock, look: () => seen, onChange: () => told++ });
  host.start();
  clock.advance(30_000);
  assert.equal(told, 0);
  seen = '10.0.0.0/8 192.168.7.0/24';
  clock.advance(10_000);
  assert.equal(told, 1);
  clock.advance(30_000);
  assert.equal(told, 1);
  host.stop();
  seen = '';
  clock.advance(30_000);
  assert.equal(told, 1);
});
