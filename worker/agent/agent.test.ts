import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  LayerProgress,
  Liveness,
  LogRequest,
  NodeDescription,
  OnDisconnect,
  TaskState,
} from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import type { PullState } from '../images/pull-progress.ts';
import { TaskLogs } from '../logs/task-logs.ts';
import { behaviourOf, type FakeBehaviour, FakeMachine } from '../runtime/fake/fake-machine.ts';
import { FakeRuntime } from '../runtime/fake/fake-runtime.ts';
import { RuntimeError } from '../runtime.ts';
import { SystemIo } from '../system-io.ts';
import { Agent, type AgentDeps } from './agent.ts';
import { FakeLeader, processTask, TCP_80 } from './leader.fixture.ts';
import { FakeNetwork } from './network.fixture.ts';

const clock = new SystemClock();
/** Takes nothing while it is full. */
class FullIo extends SystemIo {
  isFull = false;
  override write(path: string, bytes: Uint8Array | string): void {
    this.#check();
    super.write(path, bytes);
  }
  override mkdir(path: string): void {
    this.#check();
    super.mkdir(path);
  }
  #check(): void {
    const text = 'ENOSPC: no space left on device';
    if (this.isFull) throw Object.assign(new Error(text), { code: 'ENOSPC' });
  }
}
let stateDir: string;
let leader: FakeLeader;
let machine: FakeMachine;
let network: FakeNetwork;
let behaviours: Map<string, FakeBehaviour>;
let open: { stop(): void | Promise<void> }[];

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'swarm-agent-'));
  leader = new FakeLeader(clock);
  behaviours = new Map();
  machine = new FakeMachine(clock, (task) => behaviours.get(task.id) ?? behaviourOf(task));
  network = new FakeNetwork();
  open = [];
});
afterEach(async () => {
  for (const part of open) await part.stop();
  rmSync(stateDir, { recursive: true });
});

async function startAgent(patch: Partial<AgentDeps> = {}): Promise<Agent> {
  const io = new SystemIo(clock);
  const logs = new TaskLogs({ io, clock, log: silentLog, stateDir, nodeId: 'node1' });
  logs.start();
  const agent = new Agent({
    nodeId: 'node1',
    clusterId: 'cluster1',
    stateDir,
    io,
    clock,
    random: new SeededRandom(1),
    log: silentLog,
    runtimes: [new FakeRuntime(machine)],
    network,
    logs,
    dial: leader.dial,
    managers: ['m1:2377'],
    describe: () => NodeDescription.create({ hostname: 'here' }),
    publishAddress: '127.0.0.1',
    bootId: 'boot1',
    ...patch,
  });
  open.push(agent, logs);
  await agent.start();
  return agent;
}
/** What happens without a message to the leader. */
async function eventually(holds: () => boolean): Promise<void> {
  const endMs = clock.monotonicMs() + 20_000;
  while (!holds()) {
    assert.ok(clock.monotonicMs() < endMs, 'never came');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
async function connected(patch: Partial<AgentDeps> = {}): Promise<Agent> {
  const agent = await startAgent(patch);
  await eventually(() => leader.connected && agent.connected);
  return agent;
}

describe('agent', () => {
  it('runs a task that it is assigned and reports RUNNING with its ports', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['run'], { ports: [TCP_80] })]);
    await leader.untilState('t1', TaskState.RUNNING);
    const status = leader.statuses.get('t1');
    assert.equal(status?.ports[0]?.target, 80);
    assert.equal(status?.ready, true);
    assert.equal(machine.isRunning('t1'), true);
  });
  it('says in its hello who it is and what it can', async () => {
    await connected();
    const hello = leader.hellos[0];
    assert.equal(hello?.nodeId, 'node1');
    assert.deepEqual(hello?.description?.runtimes, ['fake']);
    assert.equal(hello?.description?.features['network'], 'proxy');
  });
  it('takes no order, and shows no log, whose id would lead out of its directory', async () => {
    const agent = await connected();
    const before = leader.hellos.length;
    leader.assignAll([processTask('../../t1', ['run'])]);
    await eventually(() => leader.hellos.length > before);
    assert.deepEqual(agent.localTasks(), []);
    const { signal } = new AbortController();
    const request = LogRequest.create({ taskId: '../tasks' });
    assert.throws(() => agent.readLogs('../tasks', request, signal), { code: 'NOT_FOUND' });
  });
  it('holds a task at READY until it is ordered to run', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['run'], { desiredState: TaskState.READY })]);
    await leader.untilState('t1', TaskState.READY);
    assert.equal(machine.isRunning('t1'), false);
    leader.assign([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
  });
  it('reports COMPLETE for exit 0 and FAILED with the code for others', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['exit', '0']), processTask('t2', ['exit', '7'])]);
    await leader.untilState('t1', TaskState.COMPLETE);
    await leader.untilState('t2', TaskState.FAILED);
    assert.equal(leader.statuses.get('t2')?.exitCode, 7);
  });
  it('rejects a task whose command is missing', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['missing'])]);
    await leader.untilState('t1', TaskState.REJECTED);
    assert.match(leader.statuses.get('t1')?.err ?? '', /missing is not on this node/);
  });
  it('tells why the last try failed until one succeeds, whatever it is at meanwhile', async () => {
    const text = 'the registry r sent nothing';
    behaviours.set('t1', { prepareError: new RuntimeError('PULL_FAILED', text, true) });
    await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await eventually(() => leader.statuses.get('t1')?.err === text);
    assert.equal(leader.statuses.get('t1')?.message, 'it is tried again');
    assert.equal(leader.statuses.get('t1')?.state, TaskState.PREPARING);
    const pull = {
      message: 'unpacking app:1: 1 of 1 layers',
      layers: [LayerProgress.create({ what: 'done' })],
    };
    let release = (): void => undefined;
    const fetch = (tell: (state: PullState) => void): Promise<void> => {
      tell(pull);
      return new Promise((resolve) => {
        release = resolve;
      });
    };
    behaviours.set('t1', { fetch });
    await eventually(() => leader.statuses.get('t1')?.message === pull.message);
    assert.equal(leader.statuses.get('t1')?.err, text);
    release();
    await leader.untilState('t1', TaskState.RUNNING);
    assert.equal(leader.statuses.get('t1')?.message, 'started');
    assert.equal(leader.statuses.get('t1')?.err, '');
  });
  it("gives what could not be run a shell's code", async () => {
    const startError = new RuntimeError('COMMAND_NOT_FOUND', 'the image has no command x');
    behaviours.set('t1', { startError });
    await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.FAILED);
    const { exitCode, err } = leader.statuses.get('t1')!;
    assert.deepEqual([exitCode, err], [127, 'the image has no command x']);
  });
  it('on a full disk refuses new tasks, stops others as ordered, and goes on', async () => {
    const io = new FullIo(clock);
    await connected({ io });
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    io.isFull = true;
    leader.assign([processTask('t2', ['run'])]);
    await leader.untilState('t2', TaskState.REJECTED);
    assert.match(leader.statuses.get('t2')?.err ?? '', /^the disk is full: .*ENOSPC/);
    assert.equal(machine.isRunning('t1'), true);
    leader.assign([processTask('t1', ['run'], { desiredState: TaskState.SHUTDOWN })]);
    await leader.untilState('t1', TaskState.SHUTDOWN);
    assert.equal(machine.isRunning('t1'), false);
    leader.assign([], { removedTasks: ['t2'] });
    io.isFull = false;
    leader.assign([processTask('t3', ['run'])]);
    await leader.untilState('t3', TaskState.RUNNING);
    // All on the session that it had from the beginning.
    assert.equal(leader.hellos.length, 1);
  });
  it('rejects a container task where only processes can run', async () => {
    await connected({ runtimes: [] });
    leader.assignAll([processTask('t1', [], { spec: { container: { image: 'nginx' } } })]);
    await leader.untilState('t1', TaskState.REJECTED);
  });
  it('stops a task by order and reports SHUTDOWN', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    leader.assign([processTask('t1', ['run'], { desiredState: TaskState.SHUTDOWN })]);
    await leader.untilState('t1', TaskState.SHUTDOWN);
    assert.equal(machine.isRunning('t1'), false);
  });
  it('waits for open connections before it stops a task', async () => {
    await connected();
    network.connections.set('t1', 1);
    leader.assignAll([processTask('t1', ['run'], { ports: [TCP_80] })]);
    await leader.untilState('t1', TaskState.RUNNING);
    let asked = 0;
    network.openConnections = async () => {
      asked++;
      assert.equal(machine.isRunning('t1'), true);
      return asked < 3 ? 1 : 0;
    };
    const stopOrder = { ports: [TCP_80], desiredState: TaskState.SHUTDOWN };
    leader.assign([processTask('t1', ['run'], stopOrder)]);
    await leader.untilState('t1', TaskState.SHUTDOWN);
    assert.equal(asked, 3);
  });
  it('kills a task that ignores its stop signal after its grace', async () => {
    await connected();
    const spec = { process: { command: ['stubborn'], stopGraceMs: 20 } };
    leader.assignAll([processTask('t1', [], { spec })]);
    await leader.untilState('t1', TaskState.RUNNING);
    leader.assign([processTask('t1', [], { spec, desiredState: TaskState.SHUTDOWN })]);
    await leader.untilState('t1', TaskState.SHUTDOWN);
    assert.equal(leader.statuses.get('t1')?.signal, 'SIGKILL');
  });
  it('adopts its tasks after a restart without starting them again', async () => {
    const first = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    await first.stop();
    await connected();
    assert.equal(leader.hellos[1]?.tasks[0]?.status?.state, TaskState.RUNNING);
    assert.equal(machine.starts('t1'), 1);
    machine.end('t1', 5);
    await leader.untilState('t1', TaskState.FAILED);
    assert.equal(leader.statuses.get('t1')?.exitCode, 5);
  });
  it('reports the exit of a task that ended while the daemon was away', async () => {
    const first = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    await first.stop();
    machine.end('t1', 9);
    await connected();
    await leader.untilState('t1', TaskState.FAILED);
    assert.equal(leader.statuses.get('t1')?.exitCode, 9);
  });
  it('calls a task lost that a reboot ended', async () => {
    const first = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    await first.stop();
    machine.remove('t1');
    await connected({ bootId: 'boot2' });
    await leader.untilState('t1', TaskState.FAILED);
    assert.equal(leader.statuses.get('t1')?.lost, true);
  });
  it('starts tasks from its disk while no manager answers', async () => {
    const first = await connected();
    leader.assignAll([processTask('t1', ['run'], { desiredState: TaskState.READY })]);
    await leader.untilState('t1', TaskState.READY);
    await first.stop();
    leader.unreachable = true;
    const second = await startAgent();
    assert.equal(second.localTasks()[0]?.id, 't1');
  });
  it('stops a task that no manager knows and forgets it once that is committed', async () => {
    const agent = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    leader.commits = false;
    leader.assignAll([]);
    await leader.untilState('t1', TaskState.SHUTDOWN);
    assert.equal(agent.localTasks().length, 1);
    leader.send({ reportsCommitted: { sequence: leader.reports.at(-1)!.sequence } });
    await eventually(() => agent.localTasks().length === 0);
  });
  it('tells uncommitted statuses again in a new session', async () => {
    await connected();
    leader.commits = false;
    leader.assignAll([processTask('t1', ['exit', '3'])]);
    await leader.untilState('t1', TaskState.FAILED);
    leader.statuses.clear();
    const before = leader.reports.length;
    leader.drop();
    await leader.until('a report', () => leader.reports.length > before);
    assert.equal(leader.stateOf('t1'), TaskState.FAILED);
  });
  it('never numbers two reports alike, also after a restart', async () => {
    const first = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    const highest = leader.reports.at(-1)!.sequence;
    await first.stop();
    await connected();
    machine.end('t1', 1);
    await leader.untilState('t1', TaskState.FAILED);
    assert.ok(leader.reports.at(-1)!.sequence > highest);
  });
  it('follows the address that a follower names', async () => {
    leader.followers.set('m1:2377', 'm2:2377');
    await connected();
    assert.deepEqual(leader.dialled, ['m1:2377', 'm2:2377']);
  });
  it('keeps the addresses of the managers for its next life', async () => {
    const first = await connected();
    leader.send({ managers: { addresses: ['m7:2377'] } });
    await eventually(() => first.managers[0] === 'm7:2377');
    await first.stop();
    leader.dialled.length = 0;
    await connected();
    assert.deepEqual(leader.dialled, ['m7:2377']);
  });
  it('closes a session whose leader knows less than it has seen', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['run'])], { to: { epoch: 1, term: 5, index: 50 } });
    await leader.untilState('t1', TaskState.RUNNING);
    leader.assignAll([], { to: { epoch: 1, term: 4, index: 60 } });
    await leader.until('a new session', () => leader.hellos.length === 2);
    assert.equal(machine.isRunning('t1'), true);
  });
  it('asks for a complete set when an increment does not follow', async () => {
    await connected();
    leader.assignAll([], { digest: new Uint8Array([1]) });
    leader.assign([], {
      from: { epoch: 1, term: 1, index: 99 },
      to: { epoch: 1, term: 1, index: 100 },
    });
    await leader.until('a new session', () => leader.hellos.length === 2);
    assert.equal(leader.hellos[1]?.digest.length, 0);
  });
  it('acknowledges an index when the network is built up to it', async () => {
    await connected();
    network.immediate = false;
    const at = (index: number) => ({ to: { epoch: 1, term: 1, index } });
    leader.assignAll([], { ...at(20), services: [{ serviceId: 's1' }] });
    leader.assign([], { from: at(20).to, to: at(21).to });
    await eventually(() => network.applied.length === 1);
    assert.deepEqual(leader.acknowledged, []);
    network.complete();
    await leader.until('an acknowledgement', () => leader.acknowledged.includes(21));
  });
  it('acknowledges all it has, once started again, when its network is built again', async () => {
    const agent = await connected();
    const at = (index: number) => ({ to: { epoch: 1, term: 1, index }, digest: Uint8Array.of(1) });
    leader.assignAll([], { ...at(20), services: [{ serviceId: 's1' }] });
    leader.assign([], { ...at(21), from: at(20).to });
    await leader.until('an acknowledgement', () => leader.acknowledged.includes(21));
    await agent.stop();
    leader.acknowledged.length = 0;
    network.immediate = false;
    await connected();
    assert.equal(leader.hellos.at(-1)?.position?.index, 21);
    assert.deepEqual(leader.acknowledged, []);
    network.complete();
    await leader.until('an acknowledgement', () => leader.acknowledged.includes(21));
  });
  it('reports ports that it cannot listen on', async () => {
    await connected();
    network.failures = [{ protocol: 0, port: 80, reason: 'taken by nginx' }];
    leader.assignAll([], { services: [{ serviceId: 's1' }] });
    await leader.until('a failure', () => leader.reports.some((r) => r.hasListenFailures));
  });
  it('stops tasks of services that asked for it when its managers are gone', async () => {
    const agent = await connected();
    const spec = {
      process: { command: ['run'] },
      onDisconnect: OnDisconnect.STOP,
      onDisconnectAfterMs: 10,
    };
    leader.assignAll([processTask('t1', [], { spec })]);
    await leader.untilState('t1', TaskState.RUNNING);
    leader.unreachable = true;
    leader.drop();
    const ended = (): boolean => agent.localTasks()[0]?.status?.state === TaskState.SHUTDOWN;
    await eventually(ended);
    assert.equal(machine.isRunning('t1'), false);
  });
  it('stops its tasks and its network when it was removed', async () => {
    let told = '';
    await connected({ onRemoved: (reason) => (told = reason) });
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    leader.send({ removed: { reason: 'by an operator' } });
    await leader.untilState('t1', TaskState.SHUTDOWN);
    await eventually(() => told !== '');
    assert.equal(network.destroyed, true);
  });
  it('says goodbye when it is told to', async () => {
    const agent = await connected();
    agent.sayGoodbye(Liveness.RESTARTING);
    await agent.stop();
    await leader.until('goodbye', () => leader.goodbyes.includes(Liveness.RESTARTING));
  });
  it('does not report RUNNING before the health check holds, and fails an unhealthy task', async () => {
    await connected();
    behaviours.set('t1', { probe: { code: 1, output: 'sick' } });
    const health = { cmd: ['CMD', 'check'], intervalMs: 5, timeoutMs: 100, retries: 2 };
    leader.assignAll([processTask('t1', [], { spec: { process: { command: ['run'] }, health } })]);
    await leader.untilState('t1', TaskState.FAILED);
    assert.match(leader.statuses.get('t1')?.err ?? '', /unhealthy: exit code 1: sick/);
    const seen = leader.reports.flatMap((r) => r.tasks.map((t) => t.status?.state));
    assert.equal(seen.includes(TaskState.RUNNING), false);
  });
  it('reports RUNNING when the health check holds', async () => {
    await connected();
    const health = { cmd: ['CMD', 'check'], intervalMs: 5, timeoutMs: 100, retries: 2 };
    leader.assignAll([processTask('t1', [], { spec: { process: { command: ['run'] }, health } })]);
    await leader.untilState('t1', TaskState.RUNNING);
    assert.equal(leader.statuses.get('t1')?.health, 'healthy');
  });
  it('sends a log that a manager asks for on a stream of its own', async () => {
    await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    appendFileSync(join(stateDir, 'logs', 't1', 'out'), 'one\ntwo\n');
    leader.send({ stream: { id: 's1', logs: { taskId: 't1' } } });
    await leader.until('the end', () => leader.streamed.some((up) => up.end));
    const lines = leader.streamed.flatMap((up) => up.records.map((record) => record.line));
    assert.deepEqual(
      lines.map((line) => Buffer.from(line).toString()),
      ['one', 'two'],
    );
    assert.equal(leader.streamed[0]?.id, 's1');
  });
  it('keeps the log of a task as long as managers know it, and no longer', async () => {
    const agent = await connected();
    leader.assignAll([processTask('t1', ['exit', '0'])]);
    await leader.untilState('t1', TaskState.COMPLETE);
    assert.equal(existsSync(join(stateDir, 'logs', 't1')), true);
    leader.assignAll([]);
    await eventually(() => agent.localTasks().length === 0);
    assert.equal(existsSync(join(stateDir, 'logs', 't1')), false);
  });
  it('leaves nothing in the runtime when it has stopped all tasks for good', async () => {
    const agent = await connected();
    leader.assignAll([processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
    await agent.stopTasks('stopped: this node leaves');
    assert.deepEqual(machine.ids, []);
    assert.equal(leader.stateOf('t1') === TaskState.FAILED, false);
  });
  it('says why there is no log', async () => {
    await connected();
    leader.send({ stream: { id: 's1', logs: { taskId: 'nobody' } } });
    await leader.until('the end', () => leader.streamed.some((up) => up.end));
    assert.match(leader.streamed.at(-1)?.error ?? '', /no log of task nobody/);
  });
  it('goes on with other tasks while the disk refuses one record', async () => {
    const io = new SystemIo(clock);
    const write = io.write.bind(io);
    let refuse = true;
    io.write = (path, bytes) => {
      if (refuse && path.includes('t1')) throw new Error('ENOSPC');
      write(path, bytes);
    };
    await connected({ io });
    leader.assignAll([processTask('t2', ['run']), processTask('t1', ['run'])]);
    await leader.untilState('t2', TaskState.RUNNING);
    refuse = false;
    await leader.until('a hello that asks for everything', () => leader.hellos.length > 1);
    assert.equal(leader.hellos.at(-1)?.digest.length, 0);
    leader.assignAll([processTask('t2', ['run']), processTask('t1', ['run'])]);
    await leader.untilState('t1', TaskState.RUNNING);
  });
});
