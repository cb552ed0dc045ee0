import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { SystemClock } from '../../../shared/clock.ts';
import { SystemIo } from '../../system-io.ts';
import { ResidentShell } from './resident-shell.ts';

function stage(network?: string) {
  const clock = new SystemClock();
  const shell = new ResidentShell(new SystemIo(clock), clock, network);
  const run = (command: string, args: readonly string[], input = '', timeoutMs = 5_000) =>
    shell.run({
      command,
      args,
      input,
      timeoutMs,
      env: { PATH: process.env['PATH'] ?? '' },
      outputBytesMax: 1 << 20,
    });
  return { run };
}

test('output, errors and exit codes are those of the program', async () => {
  const { run } = stage();
  const done = { code: 0, output: 'a b\n', timedOut: false };
  assert.deepEqual(await run('echo', ['a b']), done);
  assert.deepEqual(await run('sh', ['-s'], 'echo out; echo err >&2; exit 3\n'), {
    code: 3,
    output: 'out\nerr\n',
    timedOut: false,
  });
  assert.equal((await run('false', [])).code, 1);
  assert.equal((await run('no-such-program', [])).code, 127);
});

test('what a program reads comes as it is', async () => {
  const { run } = stage();
  for (const input of ['', 'one line\n', "it's $HOME `id` \\ <<EOF\n", 'x'.repeat(100_000)])
    assert.equal((await run('cat', [], input)).output, input);
  assert.equal((await run('printf', ['%s', "it's"])).output, "it's");
});

test('the same process starts one program after the other', async () => {
  const { run } = stage();
  const parent = async () => (await run('sh', ['-c', 'echo $PPID'])).output;
  assert.equal(await parent(), await parent());
});

test('programs that are run together do not wait for each other', async () => {
  const { run } = stage();
  const outputs = await Promise.all([1, 2, 3].map((n) => run('echo', [`${n}`])));
  assert.deepEqual(
    outputs.map(({ output }) => output),
    ['1\n', '2\n', '3\n'],
  );
});

test('a program that takes too long is ended, and the next one runs', async () => {
  const { run } = stage();
  assert.deepEqual(await run('sleep', ['60'], '', 100), { code: -1, output: '', timedOut: true });
  assert.equal((await run('echo', ['on'])).output, 'on\n');
});

test('a shell that is killed is replaced', async () => {
  const { run } = stage();
  const killed = await run('sh', ['-c', 'kill -9 $PPID']);
  assert.equal(killed.code, -1);
  assert.equal((await run('echo', ['on'])).output, 'on\n');
});

test('programs run in a namespace, in the one that has its name now, or not at all', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  const network = `sh-${randomBytes(4).toString('hex')}`;
  const own = stage();
  const ip = async (...words: string[]): Promise<void> => {
    assert.equal((await own.run('ip', ['netns', ...words, network])).code, 0);
  };
  const { run } = stage(network);
  const parent = async () => (await run('sh', ['-c', 'echo $PPID'])).output;
  const devices = async () => (await run('ls', ['/proc/sys/net/ipv4/conf'])).output;
  const { code, output } = await run('true', []);
  assert.notEqual(code, 0);
  assert.match(output, /cannot open/);
  await ip('add');
  try {
    const first = await parent();
    assert.equal(await parent(), first);
    await run('ip', ['link', 'add', 'was', 'type', 'bridge']);
    assert.match(await devices(), /was/);
    await ip('del');
    await ip('add');
    assert.doesNotMatch(await devices(), /was/);
    assert.notEqual(await parent(), first);
  } finally {
    await ip('del');
  }
});
