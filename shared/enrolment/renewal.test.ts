import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../clock.ts';
import { silentLog } from '../log.ts';
import { SeededRandom } from '../random.ts';
import type { Identity } from '../tls/identity.ts';
import type { LiveIdentity } from '../tls/live-identity.ts';
import { Renewal } from './renewal.ts';

const LIFE_MS = 60_000;

class World {
  readonly clock = new ManualClock();
  readonly renewals: number[] = [];
  readonly saved: string[] = [];
  failing = false;
  current = this.identity();
  readonly renewal = new Renewal({
    clock: this.clock,
    random: new SeededRandom(5),
    log: silentLog,
    live: this.live(),
    renew: async () => {
      this.renewals.push(this.clock.monotonicMs());
      if (this.failing) throw new Error('no manager answers');
      return this.identity();
    },
    save: async (identity) => {
      this.saved.push(identity.serial);
    },
  });

  identity(): Identity {
    const nowMs = this.clock.wallMs();
    const serial = String(this.clock.monotonicMs());
    return {
      serial,
      notBeforeWallMs: nowMs,
      notAfterWallMs: nowMs + LIFE_MS,
    } as Identity;
  }
  live(): LiveIdentity {
    const world = this;
    return {
      get current() {
        return world.current;
      },
      set(identity: Identity) {
        world.current = identity;
      },
    } as LiveIdentity;
  }
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100);
      for (let i = 0; i < 10; i++) await Promise.resolve();
    }
  }
}

test('ten lives of a certificate are renewed, each between half and four fifths', async () => {
  const world = new World();
  world.renewal.start();
  await world.pass(10 * LIFE_MS);
  assert.ok(world.renewals.length >= 12 && world.renewals.length <= 20);
  let before = 0;
  for (const at of world.renewals) {
    const share = (at - before) / LIFE_MS;
    assert.ok(share >= 0.5 && share <= 0.81, String(share));
    before = at;
  }
  assert.equal(world.current.serial, world.saved.at(-1));
  await world.renewal.stop();
});

test('a renewal that fails is tried again, soon and often enough, until it works', async () => {
  const world = new World();
  world.failing = true;
  world.renewal.start();
  await world.pass(LIFE_MS);
  assert.ok(world.renewals.length >= 5, String(world.renewals.length));
  assert.deepEqual(world.saved, []);
  world.failing = false;
  await world.pass(3_000);
  assert.equal(world.saved.length, 1);
  await world.renewal.stop();
});

test('an expired certificate is renewed at once', async () => {
  const world = new World();
  world.clock.advance(10 * LIFE_MS);
  world.renewal.start();
  await world.pass(200);
  assert.equal(world.saved.length, 1);
  await world.renewal.stop();
});

test('news of another role are acted on without waiting', async () => {
  const world = new World();
  world.renewal.start();
  await world.renewal.now();
  assert.equal(world.saved.length, 1);
  await world.renewal.stop();
  await world.pass(2 * LIFE_MS);
  assert.equal(world.saved.length, 1);
});

test('news that come while a renewal is under way are acted on before they are answered', async () => {
  const world = new World();
  world.renewal.start();
  const first = world.renewal.now();
  await world.renewal.now();
  await first;
  assert.equal(world.saved.length, 2);
  await world.renewal.stop();
});

test('a certificate got in another way is saved, used, and renewed in its turn', async () => {
  const world = new World();
  world.renewal.start();
  world.clock.advance(LIFE_MS / 4);
  await world.renewal.take(world.identity());
  assert.deepEqual([world.current.serial], world.saved);
  await world.pass(LIFE_MS);
  assert.ok(world.saved.length >= 2);
  await world.renewal.stop();
});
