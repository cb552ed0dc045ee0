import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { persons, type Reason, Stage } from '../../support/stage.ts';
import { until } from '../../support/swarm.ts';

const PORT = 22_400;
const SLEEP = ['--process', 'sleep', '1000'];

for (const person of persons(ordinaryUser))
  describe(`why, asked by ${person.name}`, () => causes(person));

/** Situations of which `why` has to name the true cause, and what to do about it. */
function causes(person: Person): void {
  let at: Stage;
  let other: ChildProcess | undefined;
  before(async () => {
    at = await Stage.up(person, 1, 2);
  });
  afterEach(async () => {
    other?.kill('SIGKILL');
    await at?.clean();
  });
  after(() => at?.down());

  /** The first reason for `web`, once there is another than that all is well or still under way. */
  const cause = (code: string): Promise<Reason> =>
    until(`the cause ${code}`, async () => {
      const [first] = await at.why('web');
      return first?.Code === code ? first : undefined;
    });

  test('no node fits', async () => {
    await at.mustCreate('web', '-d', '--reserve-memory', '900G', ...SLEEP);
    const reason = await cause('not-enough-resources');
    assert.match(reason.Text, /web: no node has enough free resources/);
    assert.deepEqual(
      reason.Details,
      ['m1', 'w1', 'w2'].map((n) => `${n}: too little memory free`),
    );
    assert.match(reason.Command, /swarm service update --reserve-memory SIZE .* web/);
  });

  test('a constraint with a typing mistake', async () => {
    await at.mustCreate('web', '-d', '--constraint', 'node.role==mangaer', ...SLEEP);
    const reason = await cause('constraint-typo');
    assert.match(reason.Text, /no node has node\.role=mangaer.*did you mean manager\?/);
    const mended = [...reason.Command.matchAll(/'([^']+)'/g)].map((match) => match[1]!);
    assert.deepEqual(mended, ['node.role==mangaer', 'node.role==manager']);
    const words = ['--constraint-rm', mended[0]!, '--constraint-add', mended[1]!];
    assert.equal(
      (await at.update('web', '--update-monitor', '100ms', ...words)).code,
      0,
      'what it says helps',
    );
    assert.deepEqual(await at.places('web'), ['m1']);
  });

  test('no runtime for images', async () => {
    await at.must(['service', 'create', '-d', '--name', 'web', 'nginx:1.27']);
    const reason = await cause('no-runtime');
    assert.match(reason.Text, /no node has a runtime for images/);
    assert.match(await at.must(['service', 'ps', 'web']), /no node has a runtime for images/);
  });

  test('a command that is not there', async () => {
    const made = await at.create('web', '--process', '/no/such/command', 'arg');
    assert.equal(made.code, 1, 'every node has refused it');
    assert.match(made.stderr, /every node that fits has refused it: \/no\/such\/command does not/);
    const reason = await cause('missing-command');
    assert.match(
      reason.Text,
      /node (m1|w1|w2) refused web\.1, it cannot run \/no\/such\/command arg/,
    );
    const tasks = await at.api.tasks('web');
    assert.deepEqual([...new Set(tasks.map((t) => t.nodeName))].sort().slice(-3), [
      'm1',
      'w1',
      'w2',
    ]);
  });

  test('a published port that another program has', async () => {
    const hosts = (await at.cluster.nodes()).map((node) => node.host);
    const script = `require('net').createServer().listen(${PORT}, '${hosts[2]}', () => console.log())`;
    other = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(other.stdout!, 'data');
    await at.mustCreate('web', '-p', `${PORT}:80`, '--process', 'hello');
    const reason = await cause('port-taken');
    assert.match(reason.Text, new RegExp(`cannot listen on ${PORT}/tcp on 1 of 3 nodes: w2:`));
  });

  test('restarts that are used up, with the task’s last words', async () => {
    const few = ['--restart-max-attempts', '1', '--restart-delay', '50ms'];
    await at.create('web', ...few, '--process', 'sh', '-c', 'echo no database; exit 4');
    const reason = await cause('restarts-used-up');
    assert.match(
      reason.Text,
      /web\.1 is not restarted: exited with code 4.*its 1 restarts are used up/,
    );
    assert.deepEqual(reason.Details, ['no database']);
    assert.equal(reason.Command, 'swarm service update --force web');
  });

  test('an update that is paused', async () => {
    await at.mustCreate('web', '--replicas', '2', '--update-monitor', '300ms', ...SLEEP);
    assert.equal((await at.update('web', '--command', 'sh -c "exit 5"')).code, 1);
    const reason = await cause('update-paused');
    assert.match(reason.Text, /the update of web to revision 2 is paused: web\.\d/);
    assert.equal(reason.Command, 'swarm service rollback web');
  });

  test('a node that is drained', async () => {
    await at.must(['node', 'update', '--availability', 'drain', 'w2']);
    await at.mustCreate('web', '-d', '--constraint', 'node.hostname==w2', ...SLEEP);
    const reason = await cause('node-drained');
    assert.match(reason.Text, /web waits for a node: .*w2.*drain/);
    assert.equal(reason.Command, 'swarm node update --availability active w2');
    assert.match(await at.must(['why', 'w2']), /drain/);
    await at.must(['node', 'update', '--availability', 'active', 'w2']);
    await at.api.untilRunning('web', 1);
    await cause('fine');
  });
}
