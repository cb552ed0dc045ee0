import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { TasksService } from '../../../proto/containerd.ts';
import { delay, ManualClock, SystemClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { type Containerd, ContainerdError } from '../../containerd.ts';
import { insideCommand } from '../../inside/inside.fixture.ts';
import type { ContainerNetwork } from '../../network/container-network.ts';
import { SystemIo } from '../../system-io.ts';
import { GenericUnits } from '../generic-units.ts';
import { ContainerdRuntime } from './containerd-runtime.ts';
import { type ContainerRecord, Records } from './records.ts';

/** Answers nothing but after the time that a call is given. */
function hangingContainerd(clock: ManualClock, asked: string[]): Containerd {
  const slow = new ContainerdError('UNAVAILABLE', 'the deadline has passed');
  return {
    async call(method, _request, { timeoutMs = 60_000 } = {}) {
      asked.push(method.path);
      await delay(clock, timeoutMs);
      throw slow;
    },
    // biome-ignore lint/correctness/useYield: it hangs as well.
    async *list() {
      await delay(clock, 60_000);
      throw slow;
    },
    write: () => assert.fail('nothing is written'),
    close: () => undefined,
  };
}

/** Programs end at once: real ones take a time of their own, in which the clock of a test runs on. */
class ProgramlessIo extends SystemIo {
  override async run(): ReturnType<SystemIo['run']> {
    return { code: 1, output: '', timedOut: false };
  }
}

const NETWORK: ContainerNetwork = {
  open: async () => undefined,
  address: '169.254.1.1',
  namespacePath: (taskId) => `/nowhere/${taskId}`,
  containerAddress: () => '169.254.1.2',
  attach: async () => undefined,
  adopt: () => undefined,
  unconfirmed: async () => 0,
  detach: async () => undefined,
  attached: () => [],
  destroy: async () => undefined,
};

describe('a daemon that starts beside a containerd that hangs', () => {
  let clock: ManualClock;
  let stateDir: string;
  let asked: string[];

  beforeEach(() => {
    clock = new ManualClock();
    asked = [];
    stateDir = mkdtempSync(join(tmpdir(), 'swarm-slow-'));
  });
  afterEach(() => rmSync(stateDir, { recursive: true }));

  function runtime(): ContainerdRuntime {
    const io = new ProgramlessIo(new SystemClock());
    const random = new SeededRandom(1);
    return new ContainerdRuntime({
      io,
      clock,
      random,
      log: silentLog,
      stateDir,
      nodeId: 'node1nodenodenode',
      nodeName: 'node1',
      architecture: 'amd64',
      containerd: hangingContainerd(clock, asked),
      socketPath: join(stateDir, 'none.sock'),
      network: NETWORK,
      publishHost: '127.0.0.1',
      portsDirectory: join(stateDir, 'ports'),
      logDirectory: (taskId) => join(stateDir, taskId),
      onTaskPorts: () => undefined,
      keptImages: () => new Set(),
      managers: { managers: () => [], dial: () => assert.fail('nobody is dialled') },
      env: {},
      inside: insideCommand(),
      bindRoots: [],
      hidden: [],
      units: new GenericUnits(io, join(stateDir, 'units'), []),
    });
  }
  /** Resolves with what comes, and with the time of the clock by then. */
  async function timed<T>(work: Promise<T>): Promise<[T, number]> {
    const beganMs = clock.monotonicMs();
    let over = false;
    void work.finally(() => {
      over = true;
    });
    for (let steps = 0; !over; steps++) {
      assert.ok(steps < 1_000, 'it waits for ever');
      clock.advance(500);
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    return [await work, clock.monotonicMs() - beganMs];
  }

  it('has its hundred running tasks within seconds', async () => {
    const records = new Records(new SystemIo(new SystemClock()), join(stateDir, 'containers'));
    records.open();
    for (let index = 1; index <= 100; index++) {
      records.write(`t${index}`, { ...RECORD, index });
      await records.markStarted(`t${index}`);
    }
    const slow = runtime();
    const [, openMs] = await timed(slow.open());
    assert.ok(openMs <= 11_000, `${openMs} ms`);
    const [tasks, listMs] = await timed(slow.list());
    assert.ok(listMs <= 6_000, `${listMs} ms`);
    assert.equal(tasks.filter(({ running }) => running).length, 100);
    // All are asked for at once: one after the other they would take minutes.
    assert.equal(asked.filter((path) => path === TasksService.list.path).length, 1);
    await timed(slow.close());
  });
});

const RECORD: ContainerRecord = {
  boot: '',
  prepared: true,
  index: 1,
  ports: [],
  published: [],
  image: '',
  chainId: '',
  stopSignal: 'SIGTERM',
  terminal: false,
};
