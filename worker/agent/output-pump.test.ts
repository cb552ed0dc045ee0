import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { OutputPumps } from './output-pump.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function advance(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    clock.advance(50);
    await turn();
  }
}

test('what a command that was quiet for long wrote at its very end is waited for', async () => {
  const clock = new ManualClock();
  const [from, to] = [new PassThrough(), new PassThrough()];
  const pumps = new OutputPumps(clock);
  pumps.add(from, to);
  await advance(clock, 10_000);
  let settled = false;
  const settling = pumps.settled().then(() => {
    settled = true;
  });
  await advance(clock, 200);
  assert.equal(settled, false);
  from.end('late');
  await settling;
  assert.equal(String(to.read()), 'late');
});

test('an output that something left behind keeps open is given up when it stays quiet', async () => {
  const clock = new ManualClock();
  const pumps = new OutputPumps(clock);
  pumps.add(new PassThrough(), new PassThrough());
  let settled = false;
  void pumps.settled().then(() => {
    settled = true;
  });
  await advance(clock, 250);
  assert.equal(settled, false);
  await advance(clock, 100);
  assert.equal(settled, true);
});
