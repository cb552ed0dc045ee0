import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  AgentMessage,
  type Assignments,
  Cluster,
  ClusterSpec,
  DispatcherService,
  type Hello,
  type Init,
  Liveness,
  LogRecord,
  LogRequest,
  type ManagerMessage,
  Member,
  RegistryLogin,
  Role,
  Service,
  ServiceRevision,
  ServiceState,
  StreamUp,
  Task,
  type TaskSpec,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { silentLog } from '../../shared/log.ts';
import type { Client, Duplex } from '../../shared/rpc/rpc.ts';
import { setCertificateRole } from '../ca/ca.ts';
import { TestCluster } from '../ca/cluster.fixture.ts';
import { CLUSTER_KEY, revisionKey } from '../store/schema.ts';
import { Dispatcher } from './dispatcher.ts';

/** The dispatcher over real sockets with real certificates; the agents are the tests themselves. */

class World {
  readonly cluster: TestCluster;
  readonly dispatcher: Dispatcher;
  readonly drained: string[] = [];
  #drainWaiters: (() => void)[] = [];

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
    this.dispatcher = new Dispatcher({
      store: cluster.store,
      clock: cluster.clock,
      random: cluster.random,
      log: silentLog,
      readIndex: async () => undefined,
      leaderAddress: () => 'leader:2377',
      onDrainAcknowledged: (ids) => {
        this.drained.push(...ids);
        for (const fn of this.#drainWaiters.splice(0)) fn();
      },
    });
    cluster.add(DispatcherService, this.dispatcher.handlers);
  }
  static async start(): Promise<World> {
    const world = new World(await TestCluster.start());
    world.dispatcher.start(1);
    worlds.push(world);
    return world;
  }
  async agent(): Promise<Agent> {
    const { identity, nodeId } = await this.cluster.join(Role.WORKER, 'agent');
    return new Agent(this.cluster.client(identity), nodeId);
  }
  async service(
    id: string,
    task: Init<TaskSpec> = { process: { command: ['sleep', '1'] } },
  ): Promise<void> {
    const { store } = this.cluster;
    const spec = {
      name: id,
      task,
      endpoint: { ports: [{ target: 80, published: 8080 }] },
    };
    await store.put('service', 'users', Service.create({ id, spec, revision: 1 }));
    const key = revisionKey(id, 1);
    const revision = { id: key, serviceId: id, revision: 1, spec };
    await store.put('serviceRevision', 'users', ServiceRevision.create(revision));
    const state = { id, runningRevision: 1, ports: [{ target: 80, published: 8080 }] };
    await store.put('serviceState', 'loop', ServiceState.create(state));
  }
  async task(id: string, nodeId: string, patch: Partial<Task> = {}): Promise<void> {
    const row = { id, serviceId: 'web', slot: 1, nodeId, revision: 1, state: TaskState.ASSIGNED };
    const made = Task.create({ ...row, desiredState: TaskState.RUNNING });
    await this.cluster.store.put('task', 'loop', Task.with(made, patch));
  }
  drain(): Promise<void> {
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }
  async stop(): Promise<void> {
    this.dispatcher.stop();
    await this.cluster.stop();
  }
}

/** One agent's side, message by message. */
class Agent {
  readonly nodeId: string;
  readonly client: Client;
  stream: Duplex<ManagerMessage, AgentMessage>;
  closed: Promise<SwarmError | undefined>;
  #messages: ManagerMessage[] = [];
  #wake: () => void = () => undefined;

  constructor(client: Client, nodeId: string) {
    this.client = client;
    this.nodeId = nodeId;
    this.stream = client.duplex(DispatcherService.session);
    this.closed = new Promise((resolve) => this.stream.onClose(resolve));
    this.stream.onMessage((message) => {
      this.#messages.push(message);
      this.#wake();
    });
  }
  hello(init: Parameters<typeof Hello.create>[0] = {}): void {
    this.send({ hello: { nodeId: this.nodeId, publishAddress: '10.0.0.1', ...init } });
  }
  send(message: Parameters<typeof AgentMessage.create>[0]): void {
    this.stream.send(AgentMessage.create(message));
  }
  /** The next message of a kind; others before it are dropped. */
  async next<K extends keyof ManagerMessage>(kind: K): Promise<NonNullable<ManagerMessage[K]>> {
    for (;;) {
      const message = this.#messages.shift();
      if (message === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else if (message[kind] !== null && message[kind] !== undefined) {
        return message[kind] as NonNullable<ManagerMessage[K]>;
      }
    }
  }
}

/** Every look at the clock costs 4 ms, and what is to go on at once waits until the end of that. */
function holdSlices(clock: Clock): () => void {
  const { monotonicMs, setTimer } = clock;
  const held: (() => void)[] = [];
  let spentMs = 0;
  clock.monotonicMs = () => {
    spentMs += 4;
    return monotonicMs.call(clock) + spentMs;
  };
  clock.setTimer = (delayMs, fn) => {
    if (delayMs > 0) return setTimer.call(clock, delayMs, fn);
    held.push(fn);
    return { cancel: () => undefined };
  };
  return () => {
    Object.assign(clock, { monotonicMs, setTimer });
    for (const fn of held) fn();
  };
}

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
});

function until(world: World, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const { store } = world.cluster;
    if (holds()) {
      resolve();
      return;
    }
    const stop = store.onApplied(() => {
      if (!holds()) return;
      stop();
      resolve();
    });
  });
}

function status(world: World, taskId: string): TaskStatus | undefined {
  return world.cluster.store.view.table('taskStatus').get(taskId);
}

const RUNNING = { state: TaskState.RUNNING, ready: true, ports: [{ target: 80, port: 20000 }] };

test('a hello is welcomed with the managers and a complete set', async () => {
  const world = await World.start();
  const member = { id: world.cluster.managerId, raftId: 7, address: 'm1:2377' };
  await world.cluster.store.put('member', 'roles', Member.create(member));
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', agent.nodeId);
  await world.task('t2', 'another');
  agent.hello();
  const welcome = await agent.next('welcome');
  assert.equal(welcome.upToDate, false);
  assert.equal(welcome.clusterId, world.cluster.clusterId);
  assert.deepEqual((await agent.next('managers')).addresses, ['m1:2377']);
  const set = await agent.next('assignments');
  assert.equal(set.complete, true);
  assert.deepEqual(
    set.tasks.map((task) => task.id),
    ['t1'],
  );
  assert.deepEqual(set.tasks[0]?.spec?.process?.command, ['sleep', '1']);
  assert.deepEqual(
    set.services.map((service) => service.serviceId),
    ['web'],
  );
  assert.ok(world.dispatcher.reachable(agent.nodeId));
});

test('changes come as increments that follow each other', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  agent.hello();
  const first = await agent.next('assignments');
  await world.task('t1', agent.nodeId);
  const second = await agent.next('assignments');
  assert.equal(second.complete, false);
  assert.deepEqual(second.from, first.to);
  assert.deepEqual(
    second.tasks.map((task) => task.id),
    ['t1'],
  );
  await world.cluster.store.update((draft) => draft.delete('task', 't1'), { writer: 'loop' });
  const third = await agent.next('assignments');
  assert.deepEqual(third.from, second.to);
  assert.deepEqual(third.removedTasks, ['t1']);
  assert.deepEqual(third.digest, first.digest);
});

test('a login for a registry goes with tasks of its images that are to run, to their nodes alone', async () => {
  const world = await World.start();
  const { store } = world.cluster;
  const login = { id: 'r.example', host: 'r.example', username: 'u', password: 'p' };
  await store.put('registryLogin', 'users', RegistryLogin.create(login));
  await world.service('web', { container: { image: 'r.example/web:1' } });
  await world.service('elsewhere', { container: { image: 'other.example/web:1' } });
  const [pulls, idle] = [await world.agent(), await world.agent()];
  await world.task('runs', pulls.nodeId);
  await world.task('ended', idle.nodeId, { desiredState: TaskState.SHUTDOWN });
  await world.task('other', idle.nodeId, { serviceId: 'elsewhere' });
  pulls.hello();
  idle.hello();
  const { tasks } = await pulls.next('assignments');
  assert.deepEqual(
    tasks.map(({ registryAuth }) => ({ ...registryAuth })),
    [{ host: 'r.example', username: 'u', password: 'p' }],
  );
  const others = (await idle.next('assignments')).tasks;
  assert.deepEqual(
    others.map(({ id, registryAuth }) => [id, registryAuth]),
    [
      ['ended', null],
      ['other', null],
    ],
  );
});

test('an agent with the same digest is sent nothing, and increments go on from what it has', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', agent.nodeId);
  agent.hello();
  const { to, digest } = await agent.next('assignments');
  const again = new Agent(agent.client, agent.nodeId);
  again.hello({ position: to, digest });
  assert.equal((await again.next('welcome')).upToDate, true);
  await world.task('t2', agent.nodeId, { slot: 2 });
  const increment = await again.next('assignments');
  assert.equal(increment.complete, false);
  assert.deepEqual(increment.from, to);
});

/** Resolves when the node's load balancing counts as settled at `index`. */
function settled(world: World, nodeId: string, index: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = world.dispatcher.onSettled(() => {
      if ((world.dispatcher.settledIndex(nodeId) ?? 0) < index) return;
      stop();
      resolve();
    });
  });
}

test('an agent that has all rows counts as settled when it says so and its hello is committed', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  agent.hello();
  const { to, digest } = await agent.next('assignments');
  const again = new Agent(agent.client, agent.nodeId);
  const listenFailures = [{ port: 8080, reason: 'taken' }];
  again.hello({ position: to, digest, listenFailures, reportSequence: 4 });
  assert.equal((await again.next('welcome')).upToDate, true);
  await again.next('reportsCommitted');
  assert.equal(world.dispatcher.settledIndex(agent.nodeId), 0, 'its network may be starting');
  const done = settled(world, agent.nodeId, to!.index);
  again.send({ acknowledged: { index: to!.index } });
  await done;
  const { listenFailures: told } = world.cluster.store.view.table('nodeStatus').get(agent.nodeId)!;
  assert.equal(told[0]?.reason, 'taken');
});

test('an acknowledgement before the hello is committed settles nothing', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  agent.hello();
  const { to, digest } = await agent.next('assignments');
  const again = new Agent(agent.client, agent.nodeId);
  const done = settled(world, agent.nodeId, to!.index);
  again.hello({ position: to, digest, listenFailures: [{ port: 8080, reason: 'taken' }] });
  again.send({ acknowledged: { index: to!.index } });
  await done;
  const { listenFailures } = world.cluster.store.view.table('nodeStatus').get(agent.nodeId)!;
  assert.equal(listenFailures[0]?.reason, 'taken', 'who waited sees what the hello told');
});

test('a newer session of a node replaces the older one', async () => {
  const world = await World.start();
  const agent = await world.agent();
  agent.hello();
  const first = await agent.next('welcome');
  const again = new Agent(agent.client, agent.nodeId);
  again.hello();
  assert.ok((await again.next('welcome')).session > first.session);
  assert.equal((await agent.closed)?.code, 'PRECONDITION');
  assert.ok(world.dispatcher.reachable(agent.nodeId));
});

test('a node that is silent on a session that lives is down, and has to begin a new one', async () => {
  const world = await World.start();
  const { store } = world.cluster;
  const agent = await world.agent();
  const liveness = () => store.view.table('nodeStatus').get(agent.nodeId)?.liveness;
  const before = store.view.table('cluster').get(CLUSTER_KEY)!;
  const spec = ClusterSpec.with(before.spec!, { nodeGraceMs: 600 });
  await store.put('cluster', 'users', Cluster.with(before, { spec }));
  agent.hello();
  await agent.next('reportsCommitted');
  assert.equal((await agent.closed)?.code, 'DEADLINE');
  await until(world, () => liveness() === Liveness.DOWN);
  assert.ok(!world.dispatcher.reachable(agent.nodeId));
  const again = new Agent(agent.client, agent.nodeId);
  again.hello();
  await until(world, () => liveness() === Liveness.READY);
});

test('a report is committed, then acknowledged, and its task is in load balancing', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', agent.nodeId);
  agent.hello();
  await agent.next('assignments');
  agent.send({ report: { sequence: 5, tasks: [{ taskId: 't1', status: RUNNING }] } });
  let balanced: Assignments | undefined;
  do balanced = await agent.next('assignments');
  while (balanced.services.length === 0);
  const backend = balanced.services[0]?.backends[0];
  assert.equal(backend?.taskId, 't1');
  assert.equal(backend?.ports[0]?.host, '10.0.0.1');
  assert.equal(backend?.ports[0]?.port, 20000);
  assert.equal(status(world, 't1')?.state, TaskState.RUNNING);
});

test('ReportsCommitted names the report that was committed', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', agent.nodeId);
  agent.hello({ reportSequence: 3, tasks: [{ taskId: 't1', status: RUNNING }] });
  assert.equal((await agent.next('reportsCommitted')).sequence, 3);
  assert.equal(status(world, 't1')?.state, TaskState.RUNNING);
  const failed = { state: TaskState.FAILED, exitCode: 3 };
  agent.send({ report: { sequence: 4, tasks: [{ taskId: 't1', status: failed }] } });
  assert.equal((await agent.next('reportsCommitted')).sequence, 4);
  assert.equal(status(world, 't1')?.exitCode, 3);
  assert.ok((status(world, 't1')?.endedMs ?? 0) >= (status(world, 't1')?.runningSinceMs ?? 0));
});

test('states for people stay in memory', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', agent.nodeId);
  agent.hello();
  await agent.next('reportsCommitted');
  const preparing = { state: TaskState.PREPARING, message: 'pulling' };
  agent.send({ report: { sequence: 1, tasks: [{ taskId: 't1', status: preparing }] } });
  assert.equal((await agent.next('reportsCommitted')).sequence, 1);
  assert.equal(status(world, 't1'), undefined);
  assert.equal(world.dispatcher.transientStatus('t1')?.message, 'pulling');
});

test('an agent speaks only for its own tasks', async () => {
  const world = await World.start();
  await world.service('web');
  const agent = await world.agent();
  await world.task('t1', 'another');
  agent.hello();
  await agent.next('reportsCommitted');
  agent.send({ report: { sequence: 1, tasks: [{ taskId: 't1', status: RUNNING }] } });
  await agent.next('reportsCommitted');
  assert.equal(status(world, 't1'), undefined);
});

test('a draining task is reported when every ready node has acknowledged', async () => {
  const world = await World.start();
  await world.service('web');
  const one = await world.agent();
  const two = await world.agent();
  await world.task('t1', one.nodeId);
  one.hello({ tasks: [{ taskId: 't1', status: RUNNING }] });
  two.hello();
  await one.next('reportsCommitted');
  await two.next('reportsCommitted');
  const task = world.cluster.store.view.table('task').get('t1')!;
  await world.cluster.store.put('task', 'loop', Task.with(task, { draining: true }));
  const drains = async (agent: Agent): Promise<number> => {
    for (;;) {
      const { services, to } = await agent.next('assignments');
      if (services[0]?.backends[0]?.draining === true) return to?.index ?? 0;
    }
  };
  const [first, second] = [await drains(one), await drains(two)];
  one.send({ acknowledged: { index: first } });
  one.send({ report: { sequence: 9 } });
  await one.next('reportsCommitted');
  assert.deepEqual(world.drained, []);
  const drained = world.drain();
  two.send({ acknowledged: { index: second } });
  await drained;
  assert.deepEqual(world.drained, ['t1']);
});

test('a removed node hears so on its session, and again at its next hello', async () => {
  const world = await World.start();
  const agent = await world.agent();
  agent.hello();
  await agent.next('welcome');
  const { nodeId } = agent;
  const { store } = world.cluster;
  await store.update((draft) => draft.delete('certificate', nodeId), { writer: 'users' });
  await agent.next('removed');
  assert.equal(await agent.closed, undefined);
  const again = new Agent(agent.client, nodeId);
  again.hello();
  await again.next('removed');
});

test('a role that changed is told once', async () => {
  const world = await World.start();
  const agent = await world.agent();
  agent.hello();
  await agent.next('welcome');
  await setCertificateRole(world.cluster.store, agent.nodeId, Role.MANAGER);
  assert.deepEqual({ ...(await agent.next('certificate')) }, { renew: true, role: Role.MANAGER });
  const member = { id: agent.nodeId, raftId: 9, address: 'a:1' };
  await world.cluster.store.put('member', 'roles', Member.create(member));
  const news = await agent.next('certificate');
  assert.equal(news.renew, false);
  assert.equal(news.raftId, 9);
});

test('a manager that does not lead refuses a session and names the leader', async () => {
  const world = await World.start();
  world.dispatcher.stop();
  const agent = await world.agent();
  agent.hello();
  const error = await agent.closed;
  assert.equal(error?.code, 'NOT_LEADER');
  assert.equal(error?.details['leader'], 'leader:2377');
});

test('an agent that comes before a new leader has seen all rows is greeted with all of them', async () => {
  const world = await World.start();
  const ids = ['s1', 's2', 's3', 's4', 's5', 's6'];
  for (const id of ids) await world.service(id);
  const agent = await world.agent();
  world.dispatcher.stop();
  const release = holdSlices(world.cluster.clock);
  world.dispatcher.start(2);
  agent.hello();
  let welcomed = false;
  const welcome = agent.next('welcome').then(() => {
    welcomed = true;
  });
  // Refused at once, on the same connection: what was sent before it has been read.
  const other = new Agent(agent.client, agent.nodeId);
  other.send({ acknowledged: { index: 0 } });
  await other.closed;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(welcomed, false);
  release();
  await welcome;
  const { services } = await agent.next('assignments');
  assert.deepEqual(services.map(({ serviceId }) => serviceId).sort(), ids);
});

test('losing the lead ends sessions', async () => {
  const world = await World.start();
  const agent = await world.agent();
  agent.hello();
  await agent.next('welcome');
  world.dispatcher.stop();
  assert.equal((await agent.closed)?.code, 'NOT_LEADER');
});

test('logs come over a stream that the agent opens', async () => {
  const world = await World.start();
  const agent = await world.agent();
  agent.hello();
  await agent.next('welcome');
  const request = LogRequest.create({ taskId: 't1', stdout: true });
  const records = (async () => {
    const lines: string[] = [];
    for await (const record of world.dispatcher.openLogs(agent.nodeId, request)) {
      lines.push(Buffer.from(record.line).toString());
    }
    return lines;
  })();
  const asked = await agent.next('stream');
  assert.equal(asked.logs?.taskId, 't1');
  const stream = agent.client.duplex(DispatcherService.stream);
  const line = (text: string) => LogRecord.create({ taskId: 't1', line: Buffer.from(text) });
  stream.send(StreamUp.create({ id: asked.id, records: [line('one'), line('two')] }));
  stream.send(StreamUp.create({ id: asked.id, end: true }));
  assert.deepEqual(await records, ['one', 'two']);
});

test('another node cannot answer for the one that was asked', async () => {
  const world = await World.start();
  const agent = await world.agent();
  const thief = await world.agent();
  agent.hello();
  await agent.next('welcome');
  const request = LogRequest.create({ taskId: 't1' });
  const iterator = world.dispatcher.openLogs(agent.nodeId, request)[Symbol.asyncIterator]();
  const first = iterator.next();
  const { id } = await agent.next('stream');
  const stream = thief.client.duplex(DispatcherService.stream);
  const closed = new Promise<SwarmError | undefined>((resolve) => stream.onClose(resolve));
  stream.onMessage(() => undefined);
  stream.send(StreamUp.create({ id, end: true }));
  assert.equal((await closed)?.code, 'NOT_FOUND');
  const own = agent.client.duplex(DispatcherService.stream);
  own.send(StreamUp.create({ id, end: true }));
  assert.equal((await first).done, true);
});

test('logs of a node without a session are refused with its name', async () => {
  const world = await World.start();
  const agent = await world.agent();
  const logs = world.dispatcher.openLogs(agent.nodeId, LogRequest.create({ taskId: 't1' }));
  await assert.rejects(logs[Symbol.asyncIterator]().next(), /Node agent has no connection/);
});

test('a node that says it restarts is RESTARTING, and READY at its next hello', async () => {
  const world = await World.start();
  const agent = await world.agent();
  const liveness = () => world.cluster.store.view.table('nodeStatus').get(agent.nodeId)?.liveness;
  agent.hello();
  await agent.next('reportsCommitted');
  assert.equal(liveness(), Liveness.READY);
  agent.send({ goodbye: { reason: Liveness.RESTARTING } });
  agent.stream.end();
  await until(world, () => liveness() === Liveness.RESTARTING);
  const again = new Agent(agent.client, agent.nodeId);
  again.hello();
  await until(world, () => liveness() === Liveness.READY);
});
