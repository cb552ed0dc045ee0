import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { RecordingNetcmd } from './netcmd.fixture.ts';
import type { Command, Netcmd } from './netcmd.ts';
import { OBSERVE_SCRIPT } from './observe.ts';
import { Router } from './router.ts';

test('what somebody changes is looked at as soon as it is told', async () => {
  const { clock, router, looks, disturb } = await opened();
  clock.advance(200);
  disturb();
  await router.settle();
  assert.equal(looks(), 2);
});

test('a change that may be its own doing is looked at when it is quiet, and once', async () => {
  const { clock, router, looks, disturb } = await opened();
  disturb();
  clock.advance(50);
  disturb();
  clock.advance(1_499);
  await router.settle();
  assert.equal(looks(), 1);
  clock.advance(1);
  await router.settle();
  assert.equal(looks(), 2);
  clock.advance(20_000);
  await router.settle();
  assert.equal(looks(), 2);
});

test('a change while it looks is looked at again', async () => {
  const { clock, router, looks, disturb } = await opened();
  const looking = router.repair();
  disturb();
  await looking;
  clock.advance(1_500);
  await router.settle();
  assert.equal(looks(), 3);
});

test('while its own doing goes on, it looks every ten seconds', async () => {
  const { clock, router, looks, disturb } = await opened();
  for (let at = 0; at < 10; at++) {
    disturb();
    clock.advance(1_000);
    await router.settle();
  }
  assert.equal(looks(), 2);
});

test('after a look that took long, news comes late as well', async () => {
  const { clock, router, looks, disturb, slow } = await opened();
  slow(2_000);
  await router.repair();
  clock.advance(900);
  disturb();
  await router.settle();
  assert.equal(looks(), 2);
  clock.advance(1_500);
  await router.settle();
  assert.equal(looks(), 3);
});

test('what nobody tells of is found within half a minute', async () => {
  const { clock, router, looks } = await opened();
  clock.advance(30_000);
  await router.settle();
  assert.equal(looks(), 2);
});

test('closed, it looks at nothing any more', async () => {
  const { clock, router, looks, disturb } = await opened();
  disturb();
  await router.close();
  disturb();
  clock.advance(60_000);
  assert.equal(looks(), 1);
});

test('destroyed, it is not built again by rows that still come', async () => {
  const { router, looks } = await opened();
  await router.destroy();
  await assert.rejects(router.open(), /was taken away/);
  assert.match(await router.settle(), /not open/);
  assert.equal(looks(), 1);
});

test('containers that wait together are attached together, also when more come meanwhile', async () => {
  const { router, onLink } = await opened();
  let passes = 0;
  router.onSettled(() => passes++);
  const attach = async (index: number): Promise<number> => {
    const none = { ports: [], attachments: [], names: false, dns: [] };
    await router.attach({ taskId: `task${index}`, index, ...none });
    return passes;
  };
  const waiting: Promise<number>[] = [];
  onLink('swe1', () => waiting.push(attach(2), attach(3), attach(4)));
  onLink('swe2', () => waiting.push(attach(5)));
  assert.equal(await attach(1), 1);
  assert.deepEqual(await Promise.all(waiting.slice(0, 3)), [2, 2, 2]);
  assert.equal(await waiting[3], 3);
});

/** A router that is open, in a kernel where everything works. */
async function opened() {
  const clock = new ManualClock();
  const netcmd = new CountingNetcmd(clock);
  let disturb: () => void = () => assert.fail('nobody watches');
  const router = new Router({
    io: { list: () => [], stat: () => undefined },
    netcmd,
    clock,
    random: new SeededRandom(1),
    log: silentLog,
    nodeId: 'node1000restoftheid',
    short: 'node1000',
    tunnelKeys: '/keys',
    carries: false,
    watch: (_names, onChange) => {
      disturb = onChange;
      return { close() {} };
    },
  });
  await router.open();
  assert.equal(router.problem, '');
  const slow = (ms: number): void => {
    netcmd.lookMs = ms;
  };
  const onLink = (device: string, fn: () => void) => netcmd.onLink.set(device, fn);
  return { clock, router, looks: () => netcmd.looks, disturb: () => disturb(), slow, onLink };
}

class CountingNetcmd implements Netcmd {
  readonly #netcmd = new RecordingNetcmd();
  readonly #clock: ManualClock;
  looks = 0;
  lookMs = 0;
  /** What happens while the link of a device is made, the first time. */
  readonly onLink = new Map<string, () => void>();

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }
  run(command: Command) {
    if (command.input === OBSERVE_SCRIPT) {
      this.looks++;
      this.#clock.advance(this.lookMs);
    }
    const device = /peer name (swe\d+)/.exec(command.input)?.[1] ?? '';
    this.onLink.get(device)?.();
    this.onLink.delete(device);
    return this.#netcmd.run(command);
  }
}
