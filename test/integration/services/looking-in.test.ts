import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tar } from '../../../shared/distribution/image.fixture.ts';
import { whoRuns } from '../../support/people.ts';
import { Stage } from '../../support/stage.ts';
import { get, type Ran, ROOT, until } from '../../support/swarm.ts';
import { Typing } from '../../support/typing.ts';

const BUNDLE = join(ROOT, 'dist', 'bundle', 'swarm.mjs');
const SCRIPT = 'echo begun; while :; do sleep 0.1; done';

describe('looking into processes', () => {
  let at: Stage;
  before(async () => {
    at = await Stage.up(whoRuns(), 3, 1);
    await at.mustCreate('web', '--env', 'COLOUR=blue', '--process', 'sh', '-c', SCRIPT);
  });
  after(() => at?.down());

  const exec = (via: string, ...words: string[]): Promise<Ran> =>
    at.cluster.swarm(via, ['exec', ...words], { timeoutMs: 60_000 });
  const pidsOf = async (mark: string): Promise<string[]> => {
    const found = await exec('m1', 'web', 'sh', '-c', `pgrep -f '[s]leep ${mark}' || true`);
    return found.stdout.split('\n').filter(Boolean);
  };

  test('a command runs beside the task, whichever manager is asked', async () => {
    for (const via of ['m1', 'm2', 'm3']) {
      const script = 'echo "$COLOUR"; echo apart >&2; exit 9';
      const ran = await exec(via, 'web.1', 'sh', '-c', script);
      assert.deepEqual([ran.code, ran.stdout, ran.stderr], [9, 'blue\n', 'apart\n'], via);
    }
    const env = await exec(
      'm2',
      '-e',
      'COLOUR=red',
      '-w',
      '/',
      'web',
      'sh',
      '-c',
      'echo $COLOUR; pwd',
    );
    assert.equal(env.stdout, 'red\n/\n');
  });

  test('input is passed on to its end, also when it is larger than any window', async () => {
    const input = 'x'.repeat(3 << 20);
    const ran = await at.cluster.swarm('m2', ['exec', '-i', 'web', 'wc', '-c'], { input });
    assert.equal(ran.stdout.trim(), `${input.length}`);
    const back = await at.cluster.swarm('m3', ['exec', '-i', 'web', 'cat'], { input });
    assert.equal(back.stdout.length, input.length);
  });

  test('what can not be run ends with the exit codes of Docker', async () => {
    const codes: [string[], number][] = [
      [['web', '/no/such'], 127],
      [['web', '/etc/passwd'], 126],
      [['none', 'true'], 3],
      [['web', 'sh', '-c', 'kill -9 $$'], 137],
      [['-it', 'web', 'true'], 2],
    ];
    for (const [words, code] of codes) {
      const ran = await exec('m1', ...words);
      assert.equal(ran.code, code, `${words}: ${ran.stderr}`);
    }
    await at.mustCreate('gone', '-d', '--restart-condition', 'none', '--process', 'false');
    await at.untilTasks('gone', (tasks) => tasks.some((task) => task.status?.exitCode === 1));
    const ran = await exec('m2', 'gone.1', 'true');
    assert.deepEqual([ran.code, /is not running: it is failed/.test(ran.stderr)], [4, true]);
  });

  test('a terminal has its size, is left by keys and is as it was afterwards', async () => {
    const socket = await at.cluster.socket('m2');
    const run = `${process.execPath} ${BUNDLE}`;
    const script = `${run} exec -it web sh; echo "code=$?"; stty -a | tr ';' '\\n' | grep -c -w -e icanon`;
    const typing = new Typing(script, { SWARM_SOCKET: socket });
    typing.type('stty size; tty; sleep 4711 & echo "th"ere\r');
    await typing.until(/33 77[\s\S]*\/dev\/pts\/\d+[\s\S]*there/);
    typing.type('\x10\x11');
    await typing.until(/code=0\r\n1\r\n/);
    assert.equal(await typing.ended, 0);
    assert.equal((await pidsOf('4711')).length, 1, 'it goes on after the keys');
    await exec('m1', 'web', 'pkill', '-f', '[s]leep 4711');
  });

  test('a terminal is as it was also when the command line is ended by a signal', async () => {
    const run = `exec ${process.execPath} ${BUNDLE} exec -it web sh`;
    const isSane = `stty -a | tr ';' '\\n' | grep -c -w -e icanon`;
    const script = `sh -c 'echo "pid=$$;"; ${run}'; echo "code=$?"; ${isSane}`;
    const typing = new Typing(script, { SWARM_SOCKET: await at.cluster.socket('m1') });
    typing.type('echo "th"ere; sleep 4713\r');
    // A prompt may come before it.
    await typing.until(/there\r/);
    process.kill(Number(/pid=(\d+);/.exec(typing.text)![1]), 'SIGTERM');
    await typing.until(/code=143\r\n1\r\n/);
    await typing.ended;
    await until('its end', async () => (await pidsOf('4713')).length === 0 || undefined);
  });

  test('a command ends with who asked for it', async () => {
    const socket = await at.cluster.socket('m3');
    const caller = spawn(process.execPath, [BUNDLE, 'exec', 'web', 'sleep', '4712'], {
      env: { ...process.env, SWARM_SOCKET: socket },
      stdio: 'ignore',
    });
    await until('the command', async () => (await pidsOf('4712')).length > 0 || undefined);
    caller.kill('SIGKILL');
    await until('its end', async () => (await pidsOf('4712')).length === 0 || undefined);
    assert.equal((await at.cluster.running('m1', 'web')).length, 1);
  });

  test('ports of a task answer here, those that nothing listens on say so', async () => {
    await at.mustCreate('hello', '-p', '18480:80', '--process', 'hello');
    const socket = await at.cluster.socket('m2');
    const forward = spawn(process.execPath, [BUNDLE, 'port-forward', 'hello', ':80', ':9'], {
      env: { ...process.env, SWARM_SOCKET: socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [forward.stdout, forward.stderr])
      stream.on('data', (chunk: Buffer) => {
        text += chunk;
      });
    const [, open, shut] = await until('two ports', () => {
      return /:(\d+) -> 80\n[\s\S]*:(\d+) -> 9\n/.exec(text) ?? undefined;
    });
    const answer = await get('127.0.0.1', Number(open));
    assert.match(answer.body, /Hello from hello\.1\./);
    await assert.rejects(get('127.0.0.1', Number(shut)));
    await until('why', () =>
      /port 9: .*nothing answers at port 9/i.test(text) ? true : undefined,
    );
    forward.kill('SIGINT');
    await new Promise((resolve) => forward.once('exit', resolve));
  });

  test('who attaches sees what the task writes, sends it signals and learns how it ended', async () => {
    const script = 'trap "echo interrupted; exit 4" INT; while :; do echo tick; sleep 0.1; done';
    await at.mustCreate('ticker', '--restart-condition', 'none', '--process', 'sh', '-c', script);
    const attached = spawn(process.execPath, [BUNDLE, 'attach', 'ticker'], {
      env: { ...process.env, SWARM_SOCKET: await at.cluster.socket('m3') },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    attached.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      if (/tick\ntick\n$/.test(text)) attached.kill('SIGINT');
    });
    const code = await new Promise((resolve) => attached.once('exit', resolve));
    assert.equal(code, 4);
    assert.match(text, /tick\ninterrupted\n$/);
  });

  test('files go into a task and come out again, and nothing goes elsewhere', async () => {
    const [dir, other] = [at.directory(), at.directory()];
    mkdirSync(join(dir, 'tree', 'deep'), { recursive: true });
    writeFileSync(join(dir, 'tree', 'deep', 'file'), 'x'.repeat(1 << 20));
    symlinkSync('/etc/passwd', join(dir, 'tree', 'out'));
    chmodSync(other, 0o777);
    const cp = (...words: string[]): Promise<Ran> => at.cluster.swarm('m2', ['cp', ...words]);
    const into = await cp(join(dir, 'tree'), `web:${other}`);
    assert.equal(into.code, 0, into.stderr);
    const user = (await exec('m1', 'web', 'id', '-u')).stdout.trim();
    const made = await exec('m1', 'web', 'stat', '-c', '%u %s', `${other}/tree/deep/file`);
    assert.equal(made.stdout, `${user} ${1 << 20}\n`);
    const back = await cp(`web:${other}/tree`, join(dir, 'copy'));
    assert.equal(back.code, 0, back.stderr);
    assert.match(back.stderr, /link copy\/out leads out of the copy, to \/etc\/passwd/);
    assert.deepEqual(readdirSync(join(dir, 'copy')), ['deep']);
    assert.equal(readFileSync(join(dir, 'copy', 'deep', 'file')).length, 1 << 20);
    const archive = tar([{ name: 'piped', content: 'from a pipe' }]);
    const piped = await at.cluster.swarm('m2', ['cp', '-', `web:${other}`], { input: archive });
    assert.equal(piped.code, 0, piped.stderr);
    assert.match(piped.stderr, /^Successfully copied 2KiB to /m);
    assert.equal((await exec('m1', 'web', 'cat', `${other}/piped`)).stdout, 'from a pipe');
    const absent = await cp('web:/no/such', dir);
    assert.deepEqual([absent.code, absent.stderr.includes('There is no web:/no/such')], [3, true]);
    await exec('m1', 'web', 'rm', '-r', `${other}/tree`);
  });

  test('inspect shows the outputs of health checks and the last lines, of ended tasks too', async () => {
    const script = 'echo first; echo last words; sleep 0.5; [ -e "$1" ] || exit 3; sleep 1000';
    await at.mustCreate(
      'dead',
      '-d',
      '--restart-condition',
      'none',
      '--process',
      'sh',
      '-c',
      script,
    );
    const check = ['--health-cmd', 'echo looked', '--health-interval', '100ms'];
    await at.mustCreate('checked', ...check, '--process', 'sh', '-c', 'echo hi; exec sleep 1000');
    interface Shown {
      Status: {
        HealthLog: { Output: string; ExitCode: number }[];
        LastLines: string[];
        ExitCode: number;
      };
    }
    const inspect = async (ref: string): Promise<Shown['Status']> =>
      (JSON.parse(await at.cluster.must('m2', ['task', 'inspect', ref])) as Shown[])[0]!.Status;
    const five = await until('five looks', async () => {
      const { HealthLog, LastLines } = await inspect('checked.1');
      return HealthLog.length === 5 ? { HealthLog, LastLines } : undefined;
    });
    for (const { Output, ExitCode } of five.HealthLog)
      assert.deepEqual([Output, ExitCode], ['looked', 0]);
    assert.deepEqual(five.LastLines, ['hi']);
    await at.untilTasks('dead', (tasks) => tasks.some((task) => task.status?.exitCode === 3));
    assert.deepEqual((await inspect('dead.1')).LastLines, ['first', 'last words']);
  });

  test('stats and top show what runs where', async () => {
    const rows = await at.cluster.rows<{ Name: string; CPUPerc: string; PIDs: string }>('m2', [
      'stats',
      '--no-stream',
      'web',
    ]);
    assert.deepEqual(
      rows.map((row) => row.Name),
      ['web.1'],
    );
    assert.match(rows[0]!.CPUPerc, /^\d+\.\d\d%$/);
    const page = await at.must(['top', '--no-stream']);
    for (const name of ['m1', 'm2', 'm3', 'w1', 'web.1']) assert.ok(page.includes(name), name);
  });

  test('a leader that dies ends talks with a code of their own; ports are forwarded on', async (t) => {
    const leader = await at.cluster.leader('m1');
    const via = ['m1', 'm2', 'm3'].find((name) => name !== leader)!;
    const worker = ['--constraint', 'node.role==worker', '--process'];
    await at.mustCreate('stays', ...worker, 'sh', '-c', 'while :; do echo tick; sleep 0.1; done');
    await at.mustCreate('greets', '-p', '18481:80', ...worker, 'hello');
    const env = { ...process.env, SWARM_SOCKET: await at.cluster.socket(via) };
    const talk = (...words: string[]): { text: string; code: Promise<number | null> } => {
      const child = spawn(process.execPath, [BUNDLE, ...words], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      t.after(() => child.kill('SIGKILL'));
      const shown = { text: '', code: once(child, 'exit').then(([code]) => code as number | null) };
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => {
          shown.text += chunk;
        });
      return shown;
    };
    const ran = talk('exec', 'stays', 'sh', '-c', 'echo begun; sleep 1000');
    const attached = talk('attach', 'stays');
    const forward = talk('port-forward', 'greets', ':80');
    const port = await until('a port', () => /:(\d+) -> 80\n/.exec(forward.text)?.[1]);
    const answers = async (): Promise<true> => {
      assert.match((await get('127.0.0.1', Number(port))).body, /Hello from greets\.1\./);
      return true;
    };
    await answers();
    await until('both', () => (ran.text && attached.text ? true : undefined));
    await at.cluster.dev('kill', leader);
    assert.deepEqual([await ran.code, await attached.code], [125, 125]);
    assert.match(
      ran.text,
      /stays\.1 on w1 broke off\. .*\nThe command was hung up: .*run it again/,
    );
    assert.match(
      attached.text,
      /stays\.1 on w1 broke off\. .*\nThe task goes on: attach to it again/,
    );
    await until('the port again', () => answers().catch(() => undefined));
  });
});
