import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { HealthCheck, type Init, Probe as ProbeSpec } from '../../proto/index.ts';
import { ManualClock, SystemClock } from '../../shared/clock.ts';
import { SeededRandom } from '../../shared/random.ts';
import { HealthMonitor } from './health-monitor.ts';
import {
  healthCommand,
  makeProbe,
  type ProbeResult,
  type ProbeTarget,
  resolveTarget,
} from './probe.ts';
import { ReadinessMonitor } from './readiness-monitor.ts';

const none = { below: () => 0, bytes: () => new Uint8Array(), stream: () => none };

/** Lets what waits for promises go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('health of a task', () => {
  let clock: ManualClock;
  let answers: boolean[];
  let seen: string[];
  let looks: number[];

  beforeEach(() => {
    clock = new ManualClock();
    answers = [];
    seen = [];
    looks = [];
  });
  function start(
    check: Init<HealthCheck>,
    initial: 'starting' | 'healthy' = 'starting',
  ): HealthMonitor {
    const monitor = new HealthMonitor({
      check: HealthCheck.create(check),
      probe: async (): Promise<ProbeResult> => {
        looks.push(clock.monotonicMs());
        const ok = answers.shift() ?? true;
        return { ok, code: ok ? 0 : 1, output: `look ${looks.length}`, timedOut: false };
      },
      clock,
      random: none,
      initial,
      onChange: (health) => void seen.push(health),
    });
    monitor.start();
    return monitor;
  }
  async function pass(ms: number, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      clock.advance(ms);
      await settle();
    }
  }

  it('is looked at first after one interval, then one interval after each look', async () => {
    start({ intervalMs: 100 });
    await pass(99);
    assert.deepEqual(looks, []);
    await pass(1);
    await pass(100, 2);
    assert.deepEqual(looks, [100, 200, 300]);
    assert.deepEqual(seen, ['healthy']);
  });
  it('is lost after so many failures in a row, and no success between', async () => {
    answers = [false, false, true, false, false, false];
    const monitor = start({ intervalMs: 10, retries: 3 });
    await pass(10, 6);
    assert.deepEqual(seen, ['healthy', 'unhealthy']);
    const outputs = monitor.results.map(({ output }) => output);
    assert.deepEqual(outputs, ['look 2', 'look 3', 'look 4', 'look 5', 'look 6']);
    assert.ok(monitor.results.every(({ endWallMs, startWallMs }) => endWallMs >= startWallMs));
  });
  it('is not lost within the start period, where the start interval holds', async () => {
    answers = Array(20).fill(false);
    start({ intervalMs: 100, retries: 1, startPeriodMs: 50, startIntervalMs: 10 });
    await pass(10, 4);
    assert.deepEqual(seen, []);
    await pass(10, 10);
    assert.deepEqual(seen, ['unhealthy']);
  });
  it('has no grace any more after the first success', async () => {
    answers = [true, false];
    start({ intervalMs: 10, retries: 1, startPeriodMs: 10_000, startIntervalMs: 10 });
    await pass(10, 2);
    assert.deepEqual(seen, ['healthy', 'unhealthy']);
  });
  it('goes on as it was after a restart of the daemon', async () => {
    start({ intervalMs: 10 }, 'healthy');
    await pass(10);
    assert.deepEqual(seen, []);
  });
  it('is not looked at any more when it is stopped', async () => {
    const monitor = start({ intervalMs: 10 });
    monitor.stop();
    await pass(100);
    assert.deepEqual(looks, []);
  });
  it('differs a little in its interval from task to task', () => {
    const clocks = [1, 2, 3, 4].map((seed) => {
      const own = new ManualClock();
      new HealthMonitor({
        check: HealthCheck.create({ intervalMs: 1_000 }),
        probe: async () => ({ ok: true, code: 0, output: '', timedOut: false }),
        clock: own,
        random: new SeededRandom(seed),
        initial: 'starting',
        onChange: () => undefined,
      }).start();
      return own.nextDueMs();
    });
    assert.ok(new Set(clocks).size > 1);
  });
});

describe('readiness of a task', () => {
  it('is looked at eagerly until it holds, and lost at the first clear answer', async () => {
    const clock = new ManualClock();
    const answers = ['no', 'no', 'yes', 'slow', 'yes', 'slow', 'slow', 'yes', 'no'];
    const seen: boolean[] = [];
    new ReadinessMonitor({
      spec: ProbeSpec.create({ intervalMs: 1_000 }),
      probe: async () => {
        const answer = answers.shift() ?? 'yes';
        const ok = answer === 'yes';
        return { ok, code: ok ? 0 : 1, output: answer, timedOut: answer === 'slow' };
      },
      clock,
      initial: false,
      onChange: (ready) => seen.push(ready),
    }).start();
    await settle();
    for (let i = 0; i < 3; i++) {
      clock.advance(200);
      await settle();
    }
    assert.deepEqual(seen, [true]);
    for (let i = 0; i < 6; i++) {
      clock.advance(1_000);
      await settle();
    }
    assert.deepEqual(seen, [true, false, true, false]);
  });
});

describe('probes', () => {
  let server: Server;
  let port: number;
  let status: number;
  const clock = new SystemClock();

  beforeEach(async () => {
    status = 200;
    server = createServer((request, response) => {
      if (request.url === '/hang') return;
      response.writeHead(status).end(`at ${request.url}`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  function target(): ProbeTarget {
    const ports = [{ protocol: 0, target: 80, host: '127.0.0.1', port }] as const;
    return {
      clock,
      host: '127.0.0.1',
      ports,
      runCommand: async () => ({ code: 2, output: 'bad' }),
    };
  }
  const check = (init: Init<HealthCheck>) => makeProbe(HealthCheck.create(init), target())!;

  it('map the target port to the port of the task', async () => {
    assert.deepEqual(await check({ http: ':80/live' })(5_000), {
      ok: true,
      code: 0,
      output: 'HTTP 200 at /live',
      timedOut: false,
    });
    assert.equal((await check({ tcp: ':80' })(5_000)).ok, true);
  });
  it('take another status than 2xx and 3xx for a failure', async () => {
    status = 503;
    const result = await check({ http: ':80/' })(5_000);
    assert.deepEqual([result.ok, result.output], [false, 'HTTP 503 at /']);
  });
  it('fail where nobody listens', async () => {
    const result = await check({ tcp: '127.0.0.1:1' })(5_000);
    assert.equal(result.ok, false);
    assert.match(result.output, /ECONNREFUSED/);
  });
  it('give up after their timeout', async () => {
    const result = await check({ http: ':80/hang' })(20);
    const output = 'no answer within 20 ms';
    assert.deepEqual(result, { ok: false, code: -1, output, timedOut: true });
  });
  it('run commands by their exit code', async () => {
    const result = await check({ cmd: ['CMD', 'check'] })(5_000);
    assert.deepEqual([result.ok, result.code, result.output], [false, 2, 'exit code 2: bad']);
  });
  it('read targets of all forms', () => {
    const where = { host: 'h', ports: [] };
    assert.deepEqual(resolveTarget(':80/x', where), { host: 'h', port: 80, path: '/x' });
    assert.deepEqual(resolveTarget('http://a:81', where), { host: 'a', port: 81, path: '/' });
    assert.deepEqual(resolveTarget('[::1]:82/', where), { host: '::1', port: 82, path: '/' });
    assert.equal(resolveTarget('nonsense', where), undefined);
  });
  it("know Docker's forms of a command", () => {
    assert.deepEqual(healthCommand(['CMD-SHELL', 'a && b']), ['/bin/sh', '-c', 'a && b']);
    assert.deepEqual(healthCommand(['CMD', 'a', 'b']), ['a', 'b']);
    assert.equal(healthCommand(['NONE']), undefined);
    assert.equal(healthCommand([]), undefined);
  });
});
