import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { persons, Stage } from '../../support/stage.ts';
import { ROOT, until } from '../../support/swarm.ts';

for (const person of persons(ordinaryUser))
  describe(`logs read by ${person.name}`, () => logs(person));

function logs(person: Person): void {
  let at: Stage;
  before(async () => {
    at = await Stage.up(person, 1, 2);
  });
  afterEach(() => at?.clean());
  after(() => at?.down());

  const talk = (name: string, script: string, ...words: string[]): Promise<void> =>
    at.mustCreate(name, ...words, '--process', 'sh', '-c', script);

  test('the logs of all tasks come as one, by time, and name task and node', async () => {
    const script =
      'for i in 1 2 3; do echo "$SWARM_TASK_SLOT says $i"; sleep 0.1; done; sleep 1000';
    await talk('many', script, '--replicas', '3');
    await until('all lines', async () =>
      (await at.lines('many')).length === 9 ? true : undefined,
    );
    const text = await at.must(['service', 'logs', '-t', 'many']);
    const lines = text.trim().split('\n');
    for (const line of lines)
      assert.match(line, /^\S+ many\.\d\.\w{12}@(m1|w1|w2) +\| \d says \d$/);
    const times = lines.map((line) => Date.parse(line.split(' ')[0]!));
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    );
    assert.equal(new Set(lines.map((line) => /@(\w+)/.exec(line)![1])).size, 3);
    const seen = await at.cluster.must('m1', ['service', 'logs', '--raw', 'many']);
    assert.equal(seen, `${lines.map((line) => line.replace(/^.*\| /, '')).join('\n')}\n`);
  });

  test('--tail counts for each task, --since and --until cut by time', async () => {
    await talk('steps', 'echo one; echo two; sleep 1; echo three; sleep 1000', '--replicas', '2');
    await until('all lines', async () =>
      (await at.lines('steps')).length === 6 ? true : undefined,
    );
    const ask = async (...flags: string[]): Promise<string[]> =>
      (await at.must(['service', 'logs', '--raw', ...flags, 'steps'])).trim().split('\n').sort();
    assert.deepEqual(await ask('--tail', '1'), ['three', 'three']);
    assert.deepEqual(await ask('--tail', '2'), ['three', 'three', 'two', 'two']);
    assert.deepEqual(await ask('--tail', '0'), ['']);
    const text = await at.must(['service', 'logs', '-t', '--no-task-ids', 'steps']);
    const third = text.split('\n').filter((line) => line.endsWith('three'));
    const since = third.map((line) => line.split(' ')[0]!).sort()[0]!;
    assert.deepEqual(await ask('--since', since), ['three', 'three']);
    assert.deepEqual(await ask('--until', since).then((all) => all.slice(0, 2)), ['one', 'one']);
    assert.deepEqual(await ask('--since', '1h', '--tail', '1'), ['three', 'three']);
  });

  test('standard output and standard error are kept apart', async () => {
    await talk('both', 'echo out; echo err >&2; sleep 1000');
    await at.untilLine('both', /out/);
    const ran = await until('both', async () => {
      const both = await at.try(['service', 'logs', '--raw', 'both']);
      return both.stderr !== '' && both.stdout !== '' ? both : undefined;
    });
    assert.deepEqual([ran.stdout, ran.stderr], ['out\n', 'err\n']);
    assert.equal((await at.try(['service', 'logs', '--raw', '--stdout', 'both'])).stderr, '');
    assert.equal(await at.must(['service', 'logs', '--raw', '--stderr', 'both']), '');
  });

  test('the logs of ended tasks are kept beside those of their successors', async () => {
    const short = ['--restart-delay', '50ms', '--restart-max-attempts', '1', '-d'];
    await talk('short', 'echo "I am $SWARM_TASK_ID"; printf "no line end"; exit 1', ...short);
    const tasks = await at.untilTasks(
      'short',
      (all) => all.length === 2 && all.every((task) => task.status?.exitCode === 1),
    );
    for (const { task } of tasks) {
      const text = await at.must(['task', 'logs', '--raw', task!.id]);
      assert.equal(text, `I am ${task!.id}\nno line end\n`);
    }
    assert.equal((await at.lines('short')).length, 4);
  });

  test('-f goes on with the lines of new tasks until it is ended', async (t) => {
    await talk('goes', 'echo "from $SWARM_TASK_SLOT"; while sleep 0.2; do echo tick; done');
    const bundle = join(ROOT, 'dist', 'bundle', 'swarm.mjs');
    const words = [bundle, 'service', 'logs', '--raw', '-f', 'goes'];
    const [program, ...args] = [...(person.options.prefix ?? []), process.execPath, ...words];
    const follower = spawn(program!, args, {
      env: { ...process.env, ...person.options.env, SWARM_SOCKET: await at.cluster.socket('m1') },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => follower.kill('SIGKILL'));
    let text = '';
    follower.stdout!.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    const has = (wanted: RegExp) =>
      until(`${wanted}`, () => (wanted.test(text) ? true : undefined));
    await has(/from 1\n(tick\n){3}/);
    await at.must(['service', 'scale', '-q', 'goes=2']);
    await has(/from 2\n/);
    const ended = new Promise((resolve) => follower.once('exit', resolve));
    await at.remove('goes');
    follower.kill('SIGINT');
    await ended;
  });
}
