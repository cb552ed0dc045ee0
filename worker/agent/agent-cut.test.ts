import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type AssignedTask, NodeDescription, TaskState } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { CutIo } from '../cut-io.fixture.ts';
import { TaskLogs } from '../logs/task-logs.ts';
import { ProcessWorld } from '../runtime/process/process.fixture.ts';
import { ProcessRuntime } from '../runtime/process/process-runtime.ts';
import { SystemIo } from '../system-io.ts';
import { Agent } from './agent.ts';
import { FakeLeader } from './leader.fixture.ts';
import { FakeNetwork } from './network.fixture.ts';

const clock = new SystemClock();

interface Daemon {
  readonly io: CutIo;
  readonly agent: Agent;
  start(): Promise<void>;
  stop(): Promise<void>;
}

function makeDaemon(world: ProcessWorld, leader: FakeLeader, cutAt: number): Daemon {
  const io = new CutIo(new SystemIo(clock), cutAt);
  const { stateDir } = world;
  const logs = new TaskLogs({ io, clock, log: silentLog, stateDir, nodeId: 'node1' });
  const logDirectory = (taskId: string): string => logs.directory(taskId);
  const agent = new Agent({
    nodeId: 'node1',
    clusterId: 'cluster1',
    stateDir,
    io,
    clock,
    random: new SeededRandom(1),
    log: silentLog,
    runtimes: [new ProcessRuntime({ ...world.deps(io), logDirectory })],
    network: new FakeNetwork(),
    logs,
    dial: leader.dial,
    managers: ['m1:2377'],
    describe: () => NodeDescription.create(),
    publishAddress: '127.0.0.1',
    bootId: 'boot1',
  });
  return {
    io,
    agent,
    async start() {
      logs.start();
      await agent.start();
    },
    async stop() {
      io.die();
      await agent.stop();
      logs.stop();
    },
  };
}

/** Lives until the task's end is committed and forgotten, or the daemon is cut. */
async function live(
  world: ProcessWorld,
  daemon: Daemon,
  leader: FakeLeader,
  task: AssignedTask,
): Promise<void> {
  await daemon.start();
  const { io, agent } = daemon;
  await world.until(() => io.dead || agent.connected);
  const ended = (): boolean => leader.stateOf(task.id) === TaskState.FAILED;
  if (!ended()) leader.assignAll([task]);
  await world.until(() => io.dead || ended());
  leader.assignAll([]);
  await world.until(() => io.dead || agent.localTasks().length === 0);
}

describe('a daemon that is killed', () => {
  it('leaves one process, one record and the right exit code, wherever it is killed', async () => {
    const world = new ProcessWorld();
    const leader = new FakeLeader(clock);
    try {
      for (let cutAt = 1, uncut = false; !uncut; cutAt++) {
        assert.ok(cutAt < 500, 'no life passes uncut');
        const task = world.task('exit3');
        let first: Daemon | undefined;
        try {
          first = makeDaemon(world, leader, cutAt);
          await live(world, first, leader, task);
        } catch (error) {
          if (first && !first.io.dead) throw error;
        }
        uncut = first !== undefined && !first.io.dead;
        const where = `cut ${cutAt}: ${first?.io.trace.at(-1) ?? 'in the beginning'}`;
        await first?.stop();
        leader.drop();
        const second = makeDaemon(world, leader, Number.POSITIVE_INFINITY);
        if (!uncut) await live(world, second, leader, task);
        await second.stop();
        leader.drop();
        assert.equal(world.starts(task), 1, where);
        assert.equal(leader.statuses.get(task.id)?.exitCode, 3, where);
        assert.equal(world.processes(task), 0, where);
        const records = join(world.stateDir, 'tasks');
        assert.deepEqual(existsSync(records) ? readdirSync(records) : [], [], where);
        assert.deepEqual(world.leftovers(), [], where);
      }
    } finally {
      await world.close();
    }
  });
});
