import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, Liveness, Node, NodeStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { LivenessClocks } from './liveness-clocks.ts';

class World {
  readonly clock = new ManualClock();
  readonly store = new LocalStore({ clock: this.clock, ids: new SeededIds(new SeededRandom(1)) });
  /** Nodes that were taken for down, with when they were heard last. */
  readonly down: [string, number][] = [];
  readonly clocks = new LivenessClocks({
    store: this.store,
    clock: this.clock,
    log: silentLog,
    onDown: (nodeId, heardMs) => void this.down.push([nodeId, heardMs]),
  });

  static async with(liveness: Liveness): Promise<World> {
    const world = new World();
    await world.settled(
      world.store.put('cluster', 'users', Cluster.create({ id: 'cluster', spec: {} })),
    );
    await world.settled(world.store.put('node', 'users', Node.create({ id: 'n', name: 'n' })));
    await world.settled(
      world.store.put('nodeStatus', 'status', NodeStatus.create({ id: 'n', liveness })),
    );
    return world;
  }
  /** A leader that has settled, with a session of the node. */
  static async connected(): Promise<World> {
    const world = await World.with(Liveness.READY);
    world.clocks.start();
    world.clocks.arrived('n');
    await world.beating(1_000);
    return world;
  }
  async settled(work: Promise<unknown>): Promise<void> {
    for (let i = 0; i < 20; i++) {
      this.clock.advance(0);
      await Promise.resolve();
    }
    await work;
  }
  /** Time goes on in ticks; what they commit is applied. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(100);
      for (let i = 0; i < 20; i++) {
        this.clock.advance(0);
        await Promise.resolve();
      }
    }
  }
  async beating(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.clocks.heard('n');
      await this.pass(100);
    }
  }
  get liveness(): Liveness | undefined {
    return this.store.view.table('nodeStatus').get('n')?.liveness;
  }
}

test('a node that sends stays ready', async () => {
  const world = await World.connected();
  await world.beating(10_000);
  assert.equal(world.liveness, Liveness.READY);
});

test('two seconds of silence make it suspect, four make it down', async () => {
  const world = await World.connected();
  await world.pass(1_500);
  assert.equal(world.liveness, Liveness.READY);
  await world.pass(800);
  assert.equal(world.liveness, Liveness.SUSPECT);
  await world.pass(1_400);
  assert.equal(world.liveness, Liveness.SUSPECT);
  assert.equal(world.down.length, 0);
  await world.pass(700);
  assert.equal(world.liveness, Liveness.DOWN);
  // Once, so that whoever waits for it can be told.
  assert.deepEqual(
    world.down.map(([nodeId]) => nodeId),
    ['n'],
  );
});

test('after a reset three quarters of the grace are enough', async () => {
  const world = await World.connected();
  world.clocks.lost('n', true);
  await world.pass(2_600);
  assert.equal(world.liveness, Liveness.SUSPECT);
  await world.pass(700);
  assert.equal(world.liveness, Liveness.DOWN);
});

test('one message takes suspicion away', async () => {
  const world = await World.connected();
  await world.pass(2_500);
  assert.equal(world.liveness, Liveness.SUSPECT);
  await world.beating(300);
  assert.equal(world.liveness, Liveness.READY);
});

test('a daemon that restarts has the restart grace, not longer', async () => {
  const world = await World.connected();
  world.clocks.said('n', Liveness.RESTARTING);
  world.clocks.lost('n', false);
  await world.pass(30_000);
  assert.equal(world.liveness, Liveness.RESTARTING);
  await world.pass(31_000);
  assert.equal(world.liveness, Liveness.DOWN);
});

test('a host that shuts down is leaving until its stream ends, then down', async () => {
  const world = await World.connected();
  world.clocks.said('n', Liveness.LEAVING);
  await world.pass(300);
  assert.equal(world.liveness, Liveness.LEAVING);
  world.clocks.lost('n', false);
  await world.pass(300);
  assert.equal(world.liveness, Liveness.DOWN);
});

test('silence does not count while the leader itself stood still', async () => {
  const late = new LateClock();
  const store = new LocalStore({ clock: late, ids: new SeededIds(new SeededRandom(2)) });
  const clocks = new LivenessClocks({
    store,
    clock: late,
    log: silentLog,
    onDown: () => undefined,
  });
  const put = async () => {
    await store.put('cluster', 'users', Cluster.create({ id: 'cluster', spec: {} }));
    await store.put('node', 'users', Node.create({ id: 'n', name: 'n' }));
    const row = NodeStatus.create({ id: 'n', liveness: Liveness.READY });
    await store.put('nodeStatus', 'status', row);
  };
  const putting = put();
  for (let i = 0; i < 200; i++) {
    late.advance(0);
    await Promise.resolve();
  }
  await putting;
  clocks.start();
  clocks.arrived('n');
  late.advance(1_000);
  late.jump(10_000);
  late.advance(300);
  for (let i = 0; i < 50; i++) {
    late.advance(0);
    await Promise.resolve();
  }
  assert.equal(store.view.table('nodeStatus').get('n')?.liveness, Liveness.READY);
});

/** A clock whose timers can all come late, as after a long pause of the process. */
class LateClock extends ManualClock {
  #aheadMs = 0;
  override monotonicMs(): number {
    return super.monotonicMs() + this.#aheadMs;
  }
  jump(ms: number): void {
    this.#aheadMs += ms;
  }
}

test('a new leader counts from when agents stopped arriving', async () => {
  const world = await World.with(Liveness.READY);
  world.clocks.start();
  await world.pass(500);
  await world.pass(1_500);
  assert.equal(world.liveness, Liveness.READY);
  await world.pass(800);
  assert.equal(world.liveness, Liveness.SUSPECT);
  await world.pass(2_000);
  assert.equal(world.liveness, Liveness.DOWN);
});

test('a node that is down stays down under a new leader until it comes', async () => {
  const world = await World.with(Liveness.DOWN);
  world.clocks.start();
  await world.pass(10_000);
  assert.equal(world.liveness, Liveness.DOWN);
  world.clocks.arrived('n');
  await world.pass(300);
  assert.equal(world.liveness, Liveness.READY);
});
