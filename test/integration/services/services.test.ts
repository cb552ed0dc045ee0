import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { TaskState, type TaskStatus, type TaskView } from '../../../proto/index.ts';
import { identities } from '../../support/api.ts';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { isRunning } from '../../support/processes.ts';
import { persons, Stage } from '../../support/stage.ts';
import { until } from '../../support/swarm.ts';

const PLACED = 'PLACED={{.Service.Name}}.{{.Task.Slot}} of team {{.Service.Labels.team}}';
const SLEEP = ['--process', 'sleep', '1000'];

for (const person of persons(ordinaryUser))
  describe(`services of ${person.name}`, () => services(person));

function services(person: Person): void {
  let at: Stage;
  before(async () => {
    at = await Stage.up(person, 1, 2);
    const zones = { m1: 'a', w1: 'a', w2: 'b' };
    for (const [node, zone] of Object.entries(zones))
      await at.must(['node', 'update', '--label-add', `zone=${zone}`, node]);
  });
  afterEach(() => at?.clean());
  after(() => at?.down());

  test('a replicated service is shown by create, ls, ps, inspect and task ls alike', async () => {
    const made = await at.create('plain', '--replicas', '3', ...SLEEP);
    assert.equal(made.code, 0, made.stderr);
    const [id, ...progress] = made.stdout.trim().split('\n');
    assert.match(id!, /^[a-z0-9]{25}$/);
    assert.match(progress.at(-1)!, /^overall progress: 3 out of 3 tasks$/);
    for (const slot of [1, 2, 3])
      assert.match(made.stdout, new RegExp(`^${slot}/3: running on (m1|w1|w2)$`, 'm'));
    assert.deepEqual(await at.places('plain'), ['m1', 'w1', 'w2'], 'spread over the nodes');
    assert.match(await at.must(['service', 'ls']), /plain +replicated +3\/3 +sleep 1000/);
    const ps = await at.must(['service', 'ps', 'plain', '--format', '{{.Name}} {{.Image}}']);
    assert.deepEqual(
      ps.trim().split('\n'),
      [1, 2, 3].map((n) => `plain.${n} sleep 1000`),
    );
    const [task] = await at.api.running('plain');
    const told = await at.must(['task', 'inspect', task!.task!.id.slice(0, 10)]);
    assert.equal((JSON.parse(told) as [{ ID: string }])[0].ID, task!.task!.id);
    assert.equal((await at.must(['task', 'ls', '-q'])).trim().split('\n').length, 3);
    const shown = await at.must(['service', 'inspect', id!]);
    assert.match(shown, /"Command": \[\s*"sleep",\s*"1000"/);
  });

  test('removing a service ends its processes', async () => {
    await at.mustCreate('plain', '--replicas', '3', ...SLEEP);
    const pids = (await at.api.running('plain')).map((task) => task.status!.pid);
    assert.equal(pids.filter(isRunning).length, 3);
    const removed = await at.try(['service', 'rm', 'plain']);
    assert.equal(removed.code, 0);
    assert.match(removed.stdout, /^plain$/m);
    assert.deepEqual(pids.filter(isRunning), []);
    assert.equal(await at.must(['service', 'ls', '-q']), '');
  });

  test('a global service runs once on every node that takes tasks', async () => {
    await at.mustCreate('everywhere', '--mode', 'global', ...SLEEP);
    assert.deepEqual(await at.places('everywhere'), ['m1', 'w1', 'w2']);
    await at.must(['node', 'update', '--availability', 'drain', 'w1']);
    await at.api.untilRunning('everywhere', 2);
    assert.deepEqual(await at.places('everywhere'), ['m1', 'w2']);
    await at.must(['node', 'update', '--availability', 'active', 'w1']);
    await at.api.untilRunning('everywhere', 3);
  });

  test('constraints choose nodes, and a change of one moves the tasks', async () => {
    const where: [string, string[]][] = [
      ['node.role==manager', ['m1', 'm1']],
      ['node.labels.zone==b', ['w2', 'w2']],
      ['node.hostname!=w2', ['m1', 'w1']],
    ];
    for (const [i, [constraint, nodes]] of where.entries()) {
      const name = `placed${i}`;
      await at.mustCreate(name, '--replicas', '2', '--constraint', constraint, ...SLEEP);
      assert.deepEqual(await at.places(name), nodes, constraint);
    }
    const swap = [
      '--constraint-rm',
      'node.labels.zone==b',
      '--constraint-add',
      'node.role==manager',
    ];
    assert.equal((await at.update('placed1', '--update-monitor', '100ms', ...swap)).code, 0);
    assert.deepEqual(await at.places('placed1'), ['m1', 'm1']);
  });

  test('a placement preference spreads over zones, and a node has at most its replicas', async () => {
    const spread = ['--placement-pref', 'spread=node.labels.zone'];
    await at.mustCreate('spread', '--replicas', '4', ...spread, ...SLEEP);
    assert.equal((await at.places('spread')).filter((node) => node === 'w2').length, 2);
    await at.mustCreate('one', '--replicas', '3', '--replicas-max-per-node', '1', ...SLEEP);
    assert.deepEqual(await at.places('one'), ['m1', 'w1', 'w2']);
    await at.must(['service', 'scale', '-d', 'one=4']);
    const waits = await at.untilTasks('one', (tasks) => tasks.length === 4);
    assert.equal(waits.filter((task) => task.state === TaskState.PENDING).length, 1);
    const rows = await at.must(['service', 'ps', '--no-trunc', 'one']);
    assert.match(rows, /3 nodes: has its 1 of this service \(--replicas-max-per-node\)/);
  });

  test('environment, file, working directory, user and labels are those of the task', async () => {
    const file = join(at.directory(), 'env');
    writeFileSync(file, '# not this\nA=file\nB=two words\n');
    const env = ['--env-file', file, '-e', 'A=flag', '-e', 'FROM_CALLER', '-e', PLACED];
    const rest = ['-w', '/usr', '--label', 'team=x', '--container-label', 'part=y'];
    const script = 'echo "A=$A B=$B C=$FROM_CALLER $PWD uid=$(id -u) $PLACED"; sleep 1000';
    const words = ['--name', 'around', ...person.user, ...env, ...rest];
    await at.must(['service', 'create', '-q', ...words, '--process', 'sh', '-c', script], {
      env: { FROM_CALLER: 'caller' },
    });
    const line = await at.untilLine('around', /^A=/);
    assert.equal(line, `A=flag B=two words C=caller /usr uid=${person.uid} around.1 of team x`);
    const found = await at.must(['service', 'ls', '-q', '--filter', 'label=team=x']);
    assert.match(found, /^\w{12}\n$/);
    assert.equal(await at.must(['service', 'ls', '-q', '--filter', 'label=team=z']), '');
  });

  test('limits hold where cgroups are writable, and elsewhere it is said', async (t) => {
    const script = 'const all = []; for (;;) all.push(Buffer.alloc(1e6, 1))';
    const words = ['--limit-memory', '64M', '--restart-condition', 'none'];
    if (person.uid !== 0) {
      const made = await at.create('limited', ...words, ...SLEEP);
      assert.equal(made.code, 0, made.stderr);
      const [task] = await at.api.running('limited');
      const said = /runs without its limit of memory, since no control group is writable there/;
      assert.match(task!.status!.warning, said);
      assert.match(made.stdout, said, 'the progress');
      assert.match((await at.try(['service', 'ps', 'limited'])).stderr, said);
      assert.equal((await at.why('limited'))[0]!.Code, 'without-limits');
      assert.match(await at.must(['task', 'inspect', task!.task!.id]), said);
      return;
    }
    await at.create('limited', ...words, '--process', 'node', '-e', script);
    const [task] = await at.untilTasks(
      'limited',
      ([task]) => (task?.state ?? 0) > TaskState.RUNNING,
    );
    if (!task!.status!.oom) {
      if (process.env['CI'] === 'true') assert.fail('cgroups are not writable');
      t.skip('the cgroups of this machine are not writable');
    }
  });

  test('the stop signal is the chosen one, and who ignores it is killed after its grace', async () => {
    const polite = 'trap "echo got USR1; exit 0" USR1; echo up; while :; do sleep 0.05; done';
    await at.mustCreate('polite', '--stop-signal', 'USR1', '--process', 'sh', '-c', polite);
    await at.untilLine('polite', /up/);
    const deaf = 'trap "echo no" TERM; echo up; while :; do sleep 0.05; done';
    await at.mustCreate('deaf', '--stop-grace-period', '300ms', '--process', 'sh', '-c', deaf);
    await at.untilLine('deaf', /up/);
    const ended = async (name: string): Promise<TaskStatus> => {
      await at.must(['service', 'update', '-d', '--force', name]);
      const isOver = (task: TaskView) => task.state > TaskState.RUNNING;
      return (await at.untilTasks(name, (tasks) => tasks.some(isOver))).find(isOver)!.status!;
    };
    const { state, exitCode } = await ended('polite');
    assert.deepEqual([state, exitCode], [TaskState.SHUTDOWN, 0]);
    assert.match((await at.lines('polite')).join(' '), /got USR1/);
    assert.equal((await ended('deaf')).exitCode, 137);
    assert.match((await at.lines('deaf')).join(' '), /no/);
  });

  test('restart policies decide what is started again', async () => {
    const fails = ['--restart-delay', '50ms', '--restart-max-attempts', '2'];
    await at.create('tries', ...fails, '--process', 'sh', '-c', 'exit 3');
    const tried = await at.untilTasks(
      'tries',
      (tasks) => tasks.filter((task) => task.state === TaskState.FAILED).length === 3,
    );
    assert.deepEqual(
      tried.map((task) => task.status!.exitCode),
      [3, 3, 3],
    );
    const once = ['-d', '--restart-condition', 'on-failure', '--process', 'true'];
    assert.equal((await at.create('done', ...once)).code, 0);
    const [ended] = await at.untilTasks('done', ([task]) => (task?.state ?? 0) > TaskState.RUNNING);
    assert.equal(ended!.state, TaskState.COMPLETE);
    assert.equal((await at.api.tasks('done')).length, 1);
  });

  test('a command that exits at once has not converged, and the code says so', async () => {
    const words = ['--name', 'brief', ...person.user, '--restart-delay', '0s', '--process'];
    const ran = await at.try(['service', 'create', ...words, 'sh', '-c', 'exit 3']);
    assert.equal(ran.code, 1, ran.stdout);
    assert.match(ran.stderr, /Its task 1 ended [5-9] times: exit code 3\./);
    // One that stays up is watched for a moment, and that is all.
    const stays = ['--name', 'stays', ...person.user, '--settle', '300ms', ...SLEEP];
    const made = await at.try(['service', 'create', ...stays]);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /^verify: waiting to see that its tasks stay up$/m);
  });

  test('a task counts as running when its health check holds, and is replaced when it fails', async () => {
    const checks = [
      ['--health-cmd', 'true'],
      ['--health-http', ':80/healthz'],
      ['--health-tcp', ':80'],
    ];
    const often = ['--health-interval', '100ms', '--health-retries', '2'];
    const patient = ['--health-start-period', '20s', '--health-start-interval', '100ms'];
    const publish = ['-p', '80', ...patient];
    await Promise.all(
      checks.map((check, i) =>
        at.mustCreate(`healthy${i}`, ...publish, ...check, ...often, '--process', 'hello'),
      ),
    );
    for (const i of checks.keys()) {
      const [task] = await at.api.running(`healthy${i}`);
      assert.equal(task!.status!.health, 'healthy');
    }
    const sick = join(at.directory(), 'sick');
    const check = ['--health-cmd', `test ! -e ${sick}`, '--restart-delay', '100ms'];
    await at.mustCreate('sick', ...check, ...often, ...SLEEP);
    const [before] = await at.api.running('sick');
    writeFileSync(sick, '');
    const failed = await at.untilTasks('sick', (tasks) =>
      tasks.some((task) => task.state === TaskState.FAILED),
    );
    const first = failed.find((task) => task.task!.id === before!.task!.id);
    assert.match(first!.status!.err, /health|unhealthy/);
  });

  test('an unchanged spec restarts nothing, --force does', async () => {
    const words = ['--replicas', '2', '-e', 'A=1', '--label', 'x=1', '--restart-delay', '2s'];
    await at.mustCreate('same', ...words, ...SLEEP);
    const before = identities(await at.api.running('same'));
    const unchanged = [
      ['--env-add', 'A=1'],
      ['--replicas', '2'],
      ['--label-add', 'x=2'],
      ['--update-parallelism', '2'],
    ];
    for (const change of unchanged) {
      const ran = await at.update('same', ...change);
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual(identities(await at.api.running('same')), before, change.join(' '));
    }
    assert.equal((await at.update('same', '--force', '--update-monitor', '100ms')).code, 0);
    const after = identities(await at.api.running('same'));
    assert.ok(!before.some((one) => after.includes(one)));
  });

  test('scale changes several services at once, up, down and to nothing', async () => {
    for (const name of ['left', 'right']) await at.mustCreate(name, ...SLEEP);
    const scaled = await at.try(['service', 'scale', 'left=3', 'right=2']);
    assert.equal(scaled.code, 0, scaled.stderr);
    assert.match(scaled.stdout, /left scaled to 3[\s\S]*overall progress: 3 out of 3 tasks/);
    assert.match(scaled.stdout, /right scaled to 2[\s\S]*overall progress: 2 out of 2 tasks/);
    assert.equal((await at.try(['service', 'scale', 'left=0', 'right=1'])).code, 0);
    assert.deepEqual(await at.places('left'), []);
    assert.equal((await at.places('right')).length, 1);
    const none = await at.try(['service', 'scale', 'left=1', 'absent=1']);
    assert.equal(none.code, 3);
    assert.match(none.stderr, /absent/);
  });

  test('what cannot be is one clear error with an exit code, and leaves nothing', async () => {
    await at.mustCreate('there', ...SLEEP);
    const cases: [number, RegExp, string[]][] = [
      [4, /there/, ['create', '--name', 'there', ...person.user, ...SLEEP]],
      [2, /replicas/, ['create', '--replicas', 'many', ...SLEEP]],
      [2, /--no-such-flag/, ['create', '--no-such-flag', ...SLEEP]],
      [2, /--tty/, ['create', '--tty', ...SLEEP]],
      [2, /parallelism|order/, ['create', '--update-order', 'sideways', ...SLEEP]],
      [2, /signal/i, ['create', '--stop-signal', 'SIGNOPE', ...person.user, ...SLEEP]],
      [3, /absent/, ['update', '--replicas', '2', 'absent']],
      [3, /absent/, ['rm', 'absent']],
      [3, /absent/, ['logs', 'absent']],
      [3, /revision|99/, ['rollback', '--to', '99', 'there']],
    ];
    for (const [code, text, words] of cases) {
      const ran = await at.try(['service', ...words]);
      assert.equal(ran.code, code, `${words.join(' ')}: ${ran.stderr}`);
      assert.match(ran.stderr, /^Error: /m);
      assert.match(ran.stderr, text);
    }
    assert.equal((await at.must(['service', 'ls', '-q'])).trim().split('\n').length, 1);
    await at.remove('there');
    await until('no task', async () =>
      (await at.must(['task', 'ls', '-q'])) === '' ? true : undefined,
    );
  });
}
