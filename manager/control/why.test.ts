import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Availability,
  type Init,
  Liveness,
  Node,
  NodeState,
  Ref,
  RolloutState,
  ServiceMode,
  type ServiceSpec,
  type TaskSpec,
  TaskState,
  TaskStatus,
  WhyRequest,
  type WhyResponse,
} from '../../proto/index.ts';
import { packReason, reason as reasonOf } from '../loop/reason.ts';
import { context, Fixture } from './control.fixture.ts';

function ask(at: Fixture, ref: string, kind = ''): Promise<WhyResponse> {
  return at.control.why(WhyRequest.create({ ref, kind }), context());
}
async function codes(at: Fixture, ref: string, kind = ''): Promise<string[]> {
  return (await ask(at, ref, kind)).reasons.map((reason) => reason.code);
}
/** A service of one task that has no node. */
async function pending(at: Fixture, spec: Init<ServiceSpec> = {}): Promise<string> {
  const id = await at.create(spec);
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  await at.task({ id: 'task1', serviceId: id });
  return id;
}
const placed = (constraint: string): Init<TaskSpec> => ({
  process: { command: ['a'] },
  placement: { constraints: [constraint] },
});

test('a task that no node is set to run names such a node and how to undo it', async () => {
  const at = new Fixture();
  await at.node('n1');
  const row = at.store.view.table('node').get('n1')!;
  await at.store.put('node', 'users', Node.with(row, { runtime: 'containerd' }));
  await pending(at);
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.text, 'web: n1 is set to run containers alone (--runtime)');
  assert.equal(reason!.command, 'swarm node update --runtime any n1');
});

test('a bind that no node offers is named, and what to do about it', async () => {
  const at = new Fixture();
  await at.node('n1', {}, { description: { runtimes: ['containerd'], bindRoots: ['/srv'] } });
  const mounts = [{ type: 'bind', source: '/srv/data', target: '/data' }];
  await pending(at, { task: { container: { image: 'web', mounts } } });
  const text = 'does not offer /srv/data (--bind-roots)';
  at.verdicts = [{ nodeId: 'n1', fits: false, code: 'bind', text }];
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'bind-not-offered');
  assert.equal(reason!.text, 'web: no node that fits offers /srv/data');
  assert.deepEqual(reason!.details, [`n1: ${text}`]);
});

test('tasks that run without what they were promised are named with their nodes', async () => {
  const at = new Fixture();
  for (const name of ['n1', 'n2']) await at.node(name);
  const id = await at.create({ replicas: 2 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const warning = 'runs without its limit of memory';
  for (const [slot, nodeId] of [
    [1, 'n2'],
    [2, 'n1'],
  ] as const) {
    const up = { state: TaskState.RUNNING, ready: true, warning };
    await at.task({ id: `t${slot}`, serviceId: id, slot, nodeId }, up);
  }
  const { reasons } = await ask(at, 'web');
  assert.deepEqual(
    reasons.map((reason) => [reason.code, reason.text]),
    [['without-limits', 'web runs without its limit of memory (n1, n2)']],
  );
  const [reason] = (await ask(at, 't1')).reasons;
  assert.equal(reason!.text, 'web.1 on node n2 runs without its limit of memory');
  const { service } = await at.control.getService(Ref.create({ ref: 'web' }), context());
  assert.deepEqual(service!.warnings, ['n1, n2: it runs without its limit of memory']);
});

test('no node fits: the verdict on each node is given', async () => {
  const at = new Fixture();
  await at.node('n1');
  await at.node('n2');
  at.verdicts = [
    { nodeId: 'n1', fits: false, code: 'other', text: 'is full of moss' },
    { nodeId: 'n2', fits: false, code: 'other', text: 'is on the moon' },
  ];
  await pending(at);
  const { reasons, summary } = await ask(at, 'web');
  assert.equal(reasons[0]!.code, 'no-suitable-node');
  assert.deepEqual(reasons[0]!.details, ['n1: is full of moss', 'n2: is on the moon']);
  assert.equal(summary, 'web: 0 of 1 tasks run; no node fits');
});

test('a typo in the value of a constraint: the near one is named, with the command', async () => {
  const at = new Fixture();
  await at.node('n1', { labels: { zone: 'east' } });
  await pending(at, { task: placed('node.labels.zone==esat') });
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'constraint-typo');
  assert.match(reason!.text, /did you mean east\?$/);
  assert.equal(
    reason!.command,
    "swarm service update --constraint-rm 'node.labels.zone==esat' --constraint-add 'node.labels.zone==east' web",
  );
});

test('an unknown label in a constraint is a typo as well', async () => {
  const at = new Fixture();
  await at.node('n1', { labels: { zone: 'east' } });
  await pending(at, { task: placed('node.labels.zoen==east') });
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'constraint-typo');
  assert.match(reason!.text, /no node has the label zoen; did you mean node.labels.zone\?$/);
});

test('an image and no runtime for it', async () => {
  const at = new Fixture();
  await at.node('n1');
  await pending(at, { task: { container: { image: 'nginx' } } });
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'no-runtime');
  assert.equal(reason!.text, 'web: no node has a runtime for images');
});

test('a missing command: node and path are named, before that it waits for its restart', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({ task: { process: { command: ['nopr'] } } });
  const err = 'nopr is in none of /usr/bin on this node: install it there';
  await at.task(
    { id: 'old', serviceId: id, nodeId: 'n1', desiredState: TaskState.SHUTDOWN },
    { state: TaskState.REJECTED, err },
  );
  await at.task({
    id: 'new',
    serviceId: id,
    replaces: 'old',
    desiredState: TaskState.READY,
    startAfterMs: 5_000,
  });
  const { reasons } = await ask(at, 'web');
  assert.deepEqual(
    reasons.map((reason) => reason.code),
    ['missing-command', 'restart-delay'],
  );
  assert.equal(reasons[0]!.text, `node n1 refused web.1, it cannot run nopr: ${err}`);
});

test('a missing command is known also when the refused task is no longer kept', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({ task: { process: { command: ['nopr'] } } });
  await at.task({
    id: 'new',
    serviceId: id,
    desiredState: TaskState.READY,
    startAfterMs: 5_000,
    pendingReason:
      'restart-delay|the task before it was refused: nopr is in none of /bin on this node: its restart delay runs',
  });
  assert.deepEqual(await codes(at, 'web'), ['missing-command', 'restart-delay']);
});

test('a port that something else has on a node', async () => {
  const at = new Fixture();
  await at.node('n1', {}, { listenFailures: [{ port: 80, reason: 'taken by nginx (pid 7)' }] });
  const ports = [{ target: 8080, published: 80 }];
  const id = await at.create({ endpoint: { ports } });
  await at.state({ id, ports, seenRevision: 1, runningRevision: 1 });
  await at.running(id, 't1', 1);
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'port-taken');
  assert.equal(reason!.text, 'web cannot listen on 80/tcp on any node: n1: taken by nginx (pid 7)');
});

test('a node that has not told whether it listens is named, by the leader alone', async () => {
  const at = new Fixture();
  for (const name of ['n1', 'n2']) await at.node(name);
  const ports = [{ target: 80, published: 8080 }];
  const id = await at.create({ replicas: 1, endpoint: { ports } });
  await at.state({ id, seenRevision: 1, runningRevision: 1, ports });
  await at.running(id, 't1', 1);
  assert.deepEqual(await codes(at, 'web'), ['fine']);
  at.behind.add('n2');
  const [reason] = (await ask(at, 'web')).reasons;
  assert.deepEqual([reason!.code, reason!.command], ['port-untold', 'swarm why n2']);
  assert.match(reason!.text, /node n2 has not told yet/);
  at.leader = { nodeId: 'n2', address: 'h2:2377' };
  assert.deepEqual(await codes(at, 'web'), ['fine'], 'only the leader hears the nodes');
});

test('restarts used up', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  await at.task(
    {
      id: 't1',
      serviceId: id,
      nodeId: 'n1',
      desiredState: TaskState.SHUTDOWN,
      endReason: 'exited with code 3; its 2 restarts are used up',
    },
    { state: TaskState.FAILED, exitCode: 3, lastOutput: ['boom'] },
  );
  const [reason, ...rest] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'restarts-used-up');
  assert.match(reason!.text, /exited with code 3; its 2 restarts are used up/);
  assert.deepEqual(reason!.details, ['boom']);
  assert.equal(rest.length, 0);
});

test('a container that can not start says what to change, not that its log says more', async () => {
  for (const [err, code, command] of [
    ['the image has no command serv', 'missing-command', 'swarm service update --args COMMAND web'],
    [
      'the working directory /etc/hosts is not a directory in the image',
      'missing-workdir',
      'swarm service update --workdir DIR web',
    ],
  ] as const) {
    const at = new Fixture();
    await at.node('n1');
    const id = await at.create({});
    const row = { id: 't1', serviceId: id, nodeId: 'n1' };
    await at.task(row, { state: TaskState.FAILED, err, exitCode: 127 });
    const [reason] = (await ask(at, 't1', 'task')).reasons;
    assert.deepEqual([reason!.code, reason!.command], [code, command]);
    assert.match(reason!.text, /can't start on node .*: the /);
  }
});

test('an update that is paused, and what failed', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  const rollout = {
    state: RolloutState.PAUSED,
    message: 'web.1 exited with code 1',
    toRevision: 1,
  };
  await at.state({ id, seenRevision: 1, runningRevision: 1, rollout });
  await at.task(
    { id: 't1', serviceId: id, nodeId: 'n1' },
    { state: TaskState.FAILED, exitCode: 1 },
  );
  assert.deepEqual(await codes(at, 'web'), ['update-paused', 'task-failing']);
});

test('the only node that fits is drained', async () => {
  const at = new Fixture();
  await at.node('n1', { availability: Availability.DRAIN, labels: { disk: 'ssd' } });
  await at.node('n2');
  await pending(at, { task: placed('node.labels.disk==ssd') });
  const [reason] = (await ask(at, 'web')).reasons;
  assert.equal(reason!.code, 'node-drained');
  assert.equal(reason!.command, 'swarm node update --availability active n1');
});

test('all nodes are drained', async () => {
  const at = new Fixture();
  await at.node('n1', { availability: Availability.DRAIN });
  await at.node('n2', { availability: Availability.DRAIN });
  await pending(at);
  assert.deepEqual(await codes(at, 'web'), ['node-drained']);
});

test('too few free resources', async () => {
  const at = new Fixture();
  await at.node('n1');
  at.verdicts = [{ nodeId: 'n1', fits: false, code: 'resources', text: '1 GiB memory is free' }];
  await pending(at);
  assert.deepEqual(await codes(at, 'web'), ['not-enough-resources']);
});

for (const [code, wanted] of [
  ['host-port', 'port-taken'],
  ['max-replicas', 'max-replicas-per-node'],
] as const)
  test(`a node that is full by the filter ${code}`, async () => {
    const at = new Fixture();
    await at.node('n1');
    at.verdicts = [{ nodeId: 'n1', fits: false, code, text: 'full' }];
    await pending(at);
    assert.deepEqual(await codes(at, 'web'), [wanted]);
  });

test('a service that the loop leaves alone', async () => {
  const at = new Fixture();
  const id = await at.create({});
  await at.state({ id, seenRevision: 1, quarantine: 'a stage threw' });
  assert.equal((await codes(at, 'web'))[0], 'quarantine');
});

test('a brake is named with the time it lasts', async () => {
  const at = new Fixture();
  await at.node('n1', {}, { liveness: Liveness.DOWN });
  const brake = { id: 'n1', brake: '3 of 5 nodes fell silent at once', brakeUntilMs: 60_000 };
  await at.store.put('nodeState', 'loop', NodeState.create(brake));
  const id = await at.create({});
  await at.running(id, 't1', 1);
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const { reasons } = await ask(at, 'web');
  assert.equal(reasons[0]!.code, 'brake');
  assert.match(reasons[0]!.text, /not moved for 60 s: 3 of 5 nodes/);
});

test('when all is well it says so', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  await at.running(id, 't1', 1);
  const { reasons, summary } = await ask(at, 'web');
  assert.equal(reasons[0]!.code, 'fine');
  assert.equal(summary, 'web: 1 of 1 tasks run, as was wished');
  assert.deepEqual(await codes(at, 't1'), ['fine']);
  assert.deepEqual(await codes(at, 'n1'), ['fine']);
});

test('a global service that no node meets the constraints of', async () => {
  const at = new Fixture();
  await at.node('n1', { labels: { zone: 'east' } });
  const task = placed('node.labels.zone==eest');
  const id = await at.create({ mode: ServiceMode.GLOBAL, replicas: 0, task });
  await at.state({ id, seenRevision: 1 });
  assert.deepEqual(await codes(at, 'web'), ['constraint-typo']);
});

test('a task that was replaced points to the one that came after it', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  await at.task(
    {
      id: 'old',
      serviceId: id,
      nodeId: 'n1',
      desiredState: TaskState.SHUTDOWN,
      endReason: 'updated to revision 2',
    },
    { state: TaskState.SHUTDOWN },
  );
  await at.task({ id: 'new', serviceId: id, replaces: 'old', nodeId: 'n1' });
  const [reason] = (await ask(at, 'old')).reasons;
  assert.equal(reason!.text, 'web.1 is over: updated to revision 2; new came after it');
});

test('a drained node says how many tasks are still to stop', async () => {
  const at = new Fixture();
  await at.node('n1', { availability: Availability.DRAIN });
  const id = await at.create({});
  await at.running(id, 't1', 1);
  const { reasons } = await ask(at, 'n1', 'node');
  assert.match(reasons[0]!.text, /1 task on it is still to stop$/);
});

test('a service that is being removed', async () => {
  const at = new Fixture();
  await at.create({});
  await at.control.removeService(Ref.create({ ref: 'web' }), context());
  assert.equal((await codes(at, 'web'))[0], 'removing');
});

test('a name that is nothing is refused', async () => {
  const at = new Fixture();
  await assert.rejects(ask(at, 'nothing'), { code: 'NOT_FOUND' });
});

test('a task that runs and fails its checks is named with the last words of the check', async () => {
  for (const [status, code] of [
    [{ ready: true, health: 'unhealthy' }, 'unhealthy'],
    [{ ready: false }, 'not-ready'],
  ] as const) {
    const at = new Fixture();
    await at.node('n1');
    const id = await at.create({});
    await at.running(id, 'task1', 1);
    await at.status({ ...status, id: 'task1', state: TaskState.RUNNING, lastOutput: ['refused'] });
    const [reason] = (await ask(at, 'task1', 'task')).reasons;
    assert.equal(reason!.code, code);
    assert.deepEqual(reason!.details, ['refused']);
  }
});

test('a task that waits until a cut-off node has stopped the one before says so', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  await at.task({
    id: 'task1',
    serviceId: id,
    nodeId: 'n1',
    desiredState: TaskState.READY,
    startAfterMs: Number.MAX_SAFE_INTEGER,
    pendingReason: packReason(reasonOf('disconnected', 'it waits until n2 has stopped it')),
  });
  const [reason] = (await ask(at, 'task1', 'task')).reasons;
  assert.equal(reason!.code, 'disconnected');
  assert.match(reason!.text, /it waits until n2 has stopped it$/);
  assert.match(reason!.advice, /--on-disconnect/);
});

test('a task whose image does not come says what kept it, and how far it is now', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await pending(at);
  await at.task({ id: 'task1', serviceId: id, nodeId: 'n1', state: TaskState.ASSIGNED });
  const err = "can't reach r:5000: it sent nothing for 30 s";
  const message = 'pulling app:1: 0 of 1 layers, 0.0 of 3.2 MB';
  const status = { id: 'task1', state: TaskState.PREPARING, message, err };
  at.transient.set('task1', TaskStatus.create(status));
  const [reason] = (await ask(at, 'task1', 'task')).reasons;
  assert.equal(reason!.code, 'starting');
  assert.equal(reason!.text, `web.1 is preparing on node n1: ${err}; ${message}`);
  assert.equal(reason!.command, 'swarm task inspect task1');
});

test('what a node refuses an image for has advice that fits', async () => {
  const cases: readonly [string, string][] = [
    ['r:5000/app:1 is not in the registry r:5000', 'image-missing'],
    [
      'the registry r:5000 does not give r:5000/app:1: it is not there, or needs a login',
      'image-login',
    ],
    ['the image is for linux/s390x, and this node is linux/amd64', 'wrong-platform'],
    ['r:5000 gave other bytes for sha256:1 than its digest says', 'image-broken'],
    [
      "can't get layer sha256:1 (5 of 9 bytes came): the answer of r:5000 broke off",
      'image-unreachable',
    ],
    ["the disk is full: a layer can't be unpacked", 'disk-full'],
    ['the image has no user ghost: change --user', 'unknown-user'],
  ];
  for (const [err, code] of cases) {
    const at = new Fixture();
    await at.node('n1');
    const id = await pending(at);
    await at.task({ id: 'task1', serviceId: id, nodeId: 'n1', state: TaskState.ASSIGNED });
    await at.status({ id: 'task1', state: TaskState.REJECTED, err });
    const [reason] = (await ask(at, 'task1', 'task')).reasons;
    assert.equal(reason!.code, code, err);
    assert.notEqual(reason!.advice, '');
  }
});
