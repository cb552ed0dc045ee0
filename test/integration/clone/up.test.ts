import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ordinaryUser, type Person } from '../../support/people.ts';
import { get, type Ran, ROOT, run, until } from '../../support/swarm.ts';

/**
 * The first five minutes of a stranger: a fresh clone in a path with a space, an empty home, an
 * ordinary user, `NODE_ENV=production`; nothing but `npm run up` and `npm run down`.
 */
const LEFT_OUT = new Set(['node_modules', 'dist', '.git', '.swarm']);
const PORT = 23_200;

describe('a fresh clone', () => {
  let person: Person;
  let clone: string;
  let remove: () => void;

  before(() => {
    person = ordinaryUser();
    const temporary = person.tempDir();
    remove = temporary.remove;
    clone = join(temporary.path, 'my clone');
    mkdirSync(clone);
    for (const name of readdirSync(ROOT)) {
      if (!LEFT_OUT.has(name)) cpSync(join(ROOT, name), join(clone, name), { recursive: true });
    }
    if (process.getuid?.() === 0) give(clone, person.uid);
  });
  after(async () => {
    await npm(['run', 'down', '--', '--force']);
    remove();
    person.remove();
  });

  function npm(
    args: readonly string[],
    env: { readonly [name: string]: string } = {},
  ): Promise<Ran> {
    const { options } = person;
    return run('npm', args, {
      ...options,
      cwd: clone,
      timeoutMs: 180_000,
      env: { ...withoutNpm(), ...options.env, NODE_ENV: 'production', ...env },
    });
  }

  /** `./swarm`, as its user types it in the clone. */
  function cli(args: readonly string[], input = ''): Promise<Ran> {
    return run('./swarm', args, { ...person.options, cwd: clone, input });
  }

  async function runningTasks(): Promise<string[]> {
    const listed = await cli(['service', 'ps', 'hello', '-q', '--filter', 'desired-state=running']);
    assert.equal(listed.code, 0, listed.stderr);
    return listed.stdout.trim().split('\n').sort();
  }

  /** Ctrl-C while `npm run up` says `when`; resolves to its exit code. */
  function cutUp(when: RegExp): Promise<number | null> {
    const [program, ...words] = [...(person.options.prefix ?? []), 'npm', 'run', 'up'];
    const env = { ...process.env, ...withoutNpm(), ...person.options.env };
    const child = spawn(program!, words, { cwd: clone, env, detached: true });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        if (when.test(said)) return;
        said += chunk;
        // A terminal tells the whole group.
        if (when.test(said)) process.kill(-child.pid!, 'SIGINT');
      });
    }
    return new Promise((resolve) => child.once('close', resolve));
  }

  test('answers over HTTP after one command', async () => {
    const up = await npm(['run', 'up', `${PORT}`]);
    assert.equal(up.code, 0, up.stdout + up.stderr);
    assert.match(up.stdout, new RegExp(`http://127\\.0\\.0\\.1:${PORT}/`));
    assert.match((await get('127.0.0.1', PORT)).body, /^Hello from hello\.[123]\./);
    process.stdout.write(`${timeOf(up)}\n`);
  });

  test('finds its cluster with ./swarm', async () => {
    const listed = await run('./swarm', ['service', 'ls', '--format', 'json'], {
      ...person.options,
      cwd: clone,
    });
    assert.equal(listed.code, 0, listed.stderr);
    assert.equal((JSON.parse(listed.stdout) as { Replicas: string }).Replicas, '3/3');
  });

  test('the same command again changes nothing and says the same', async () => {
    const again = await npm(['run', 'up']);
    assert.equal(again.code, 0, again.stdout + again.stderr);
    assert.match(again.stdout, new RegExp(`http://127\\.0\\.0\\.1:${PORT}/`));
  });

  test('another port is taken up by every way to say it', async () => {
    for (const [args, env] of [
      [['run', 'up', `${PORT + 1}`], {}],
      [['run', 'up', '--', '--port', `${PORT + 2}`], {}],
      [['run', 'up'], { SWARM_PORT: `${PORT + 3}` }],
    ] as const) {
      const up = await npm(args, env);
      assert.equal(up.code, 0, up.stdout + up.stderr);
    }
    assert.equal((await get('127.0.0.1', PORT + 3)).status, 200);
    await assert.rejects(get('127.0.0.1', PORT, '/', 1_000));
  });

  test('is back after its daemon was killed', async () => {
    const info = await run('./swarm', ['info', '--format', 'json'], {
      ...person.options,
      cwd: clone,
    });
    const { PID } = JSON.parse(info.stdout) as { PID: number };
    process.kill(PID, 'SIGKILL');
    const listed = await cli(['service', 'ls']);
    assert.equal(listed.code, 5, listed.stderr);
    assert.match(listed.stderr, /this clone\): its daemon ended .*\n.*\n {2}npm run up\n/);
    const up = await npm(['run', 'up']);
    assert.equal(up.code, 0, up.stdout + up.stderr);
    assert.equal((await get('127.0.0.1', PORT + 3)).status, 200);
  });

  test('a newer build restarts the daemon under the same tasks', async () => {
    const path = join(clone, '.swarm', 'up', 'swarm-up.json');
    const marker = JSON.parse(readFileSync(path, 'utf8')) as { pid: number };
    const tasks = await runningTasks();
    // Written in place: it stays its owner's.
    writeFileSync(path, JSON.stringify({ ...marker, build: 'an older one' }));
    const up = await npm(['run', 'up']);
    assert.equal(up.code, 0, up.stdout + up.stderr);
    assert.match(up.stderr, /The build is newer than the running daemon/);
    const after = JSON.parse(readFileSync(path, 'utf8')) as { pid: number };
    assert.notEqual(after.pid, marker.pid);
    assert.deepEqual(await runningTasks(), tasks);
  });

  test('cut off half-way is gone on with', async () => {
    const info = await cli(['info', '--format', '{{.PID}}']);
    process.kill(Number(info.stdout), 'SIGKILL');
    assert.notEqual(await cutUp(/Started the daemon/), 0);
    const up = await npm(['run', 'up']);
    assert.equal(up.code, 0, up.stdout + up.stderr);
    assert.equal((await get('127.0.0.1', PORT + 3)).status, 200);
  });

  test('what its user changed is left as it is', async () => {
    await cli(['service', 'scale', 'hello=1']);
    const up = await npm(['run', 'up']);
    assert.equal(up.code, 0, up.stdout + up.stderr);
    assert.equal((await runningTasks()).length, 1);
  });

  test('is not ended while another node is a member, unless it is forced', async () => {
    const token = (await cli(['join-token', '-q', 'worker'])).stdout.trim();
    const marker = readFileSync(join(clone, '.swarm', 'up', 'swarm-up.json'), 'utf8');
    const { controlPort } = JSON.parse(marker) as { controlPort: number };
    const stateDir = join(clone, 'other');
    const flags = ['--state-dir', stateDir, '--name', 'other', '--publish-addr', '127.0.0.2'];
    const joined = await cli(
      ['join', '--token', '-', ...flags, `127.0.0.1:${controlPort}`],
      `${token}\n`,
    );
    assert.equal(joined.code, 0, joined.stderr);
    const down = await npm(['run', 'down']);
    assert.notEqual(down.code, 0, down.stdout + down.stderr);
    assert.match(down.stderr, /Other nodes are members of this cluster: other/);
    const other = ['--socket', join(stateDir, 'swarm.sock')];
    assert.equal((await cli([...other, 'leave'])).code, 0);
    assert.equal((await cli([...other, 'stop'])).code, 0);
    assert.equal((await cli(['node', 'rm', '--force', 'other'])).code, 0);
  });

  test('is gone after npm run down, and nothing listens any more', async () => {
    const down = await npm(['run', 'down']);
    assert.equal(down.code, 0, down.stdout + down.stderr);
    await until('the port to be closed', async () => {
      const open = await get('127.0.0.1', PORT + 3, '/', 500).catch(() => undefined);
      return open === undefined ? true : undefined;
    });
    assert.ok(!existsSync(join(clone, '.swarm', 'up')));
  });
});

/** `npm test` tells its children where its own cache and settings are: a stranger has none. */
function withoutNpm(): { readonly [name: string]: string } {
  const names = Object.keys(process.env).filter((name) => /^npm_/i.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined])) as unknown as Record<
    string,
    string
  >;
}

function give(path: string, uid: number): void {
  chownSync(path, uid, uid);
  chmodSync(path, 0o755);
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true }))
    chownSync(join(entry.parentPath ?? entry.path, entry.name), uid, uid);
}

function timeOf(ran: Ran): string {
  return ran.stdout.split('\n').find((line) => line.startsWith('Built in')) ?? '';
}
