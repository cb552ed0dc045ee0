import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { get, type Ran, ROOT, run, tempDir } from '../../support/swarm.ts';

/**
 * The tarball and its installer, in a mount namespace of their own: what they put into /opt, /etc,
 * /usr/local/bin, /run and /var/lib is in memory and gone with the test.
 */
const isRoot = process.getuid?.() === 0;
const skip = isRoot || process.env['CI'] === 'true' ? false : 'installing needs root';
const PORT = 23_300;
const CONTROL = '127.0.0.1:23301';

describe('the package', { skip }, () => {
  const temporary = tempDir();
  let tarball: string;
  let holder: Holder;

  before(async () => {
    const out = join(temporary.path, 'out');
    const made = await run('npm', ['run', 'package', '--', out]);
    assert.equal(made.code, 0, made.stdout + made.stderr);
    tarball = join(out, readdirSync(out).find((name) => name.endsWith('.tar.gz'))!);
    holder = await holdNamespace(temporary.path);
  });
  after(async () => {
    await inside(`swarm stop --with-tasks`);
    await holder?.end();
    temporary.remove();
  });

  function inside(script: string): Promise<Ran> {
    return run('nsenter', [`--mount=/proc/${holder.pid}/ns/mnt`, 'sh', '-c', script], {
      cwd: '/',
      env: { SWARM_SOCKET: '', SWARM_STATE_DIR: '', HOME: temporary.path },
    });
  }
  async function must(script: string): Promise<string> {
    const ran = await inside(script);
    assert.equal(ran.code, 0, `${script}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }
  const installer = (): string => `cd /opt && sh '${join(ROOT, 'deploy', 'install.sh')}'`;

  test('installs and makes a cluster in one command', async () => {
    const flags = `--advertise-addr ${CONTROL} --listen-addr ${CONTROL} --allow-process`;
    const said = await must(`${installer()} '${tarball}' init ${flags}`);
    assert.match(said, /Installed .* in \/opt\/swarm/);
    assert.match(await must('swarm info'), /manager/);
    assert.match(await must('stat -c %a /run/swarm /run/swarm/swarm.sock'), /^7[05]0\n6[06]0\n$/);
  });

  test('runs a service from what is in the tarball alone', async () => {
    await must(`swarm service create --name hello -p ${PORT}:80 --user nobody --process hello`);
    assert.equal((await get('127.0.0.1', PORT)).status, 200);
  });

  test('an upgrade in place keeps every task', async () => {
    const pid = `swarm task inspect $(swarm service ps -q hello) --format '{{.Status.PID}}'`;
    const before = await must(pid);
    await must(`${installer()} '${tarball}'`);
    await must('swarm stop && swarm start --allow-process');
    assert.equal(await must(pid), before);
    assert.equal((await get('127.0.0.1', PORT)).status, 200);
  });

  test('never hides another program called swarm', async () => {
    await must(
      `printf '#!/bin/sh\\n' > /usr/local/sbin/swarm; chmod 755 /usr/local/sbin/swarm; rm /usr/local/bin/swarm`,
    );
    const said = await must(`PATH=/usr/local/sbin:$PATH; ${installer()} '${tarball}'`);
    assert.match(said, /another program is called swarm/);
    await must('rm /usr/local/sbin/swarm; ln -s /opt/swarm/swarm /usr/local/bin/swarm');
  });

  test('uninstalling takes everything away', async () => {
    await must(`${installer()} --uninstall --purge`);
    const left = await must(
      'ls -d /opt/swarm /usr/local/bin/swarm /run/swarm /var/lib/swarm 2>/dev/null || true',
    );
    assert.equal(left, '');
    await assert.rejects(get('127.0.0.1', PORT, '/', 1_000));
  });

  test('a broken tarball is refused and changes nothing', async () => {
    const broken = join(temporary.path, 'broken.tar.gz');
    writeFileSync(broken, 'not a tarball');
    const ran = await inside(`${installer()} '${broken}'`);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /no tarball of swarm/);
    assert.equal(await must('ls -d /opt/swarm 2>/dev/null || true'), '');
  });
});

interface Holder {
  readonly pid: number;
  /** The namespace goes with its last process: only then may its scratch be removed. */
  end(): Promise<void>;
}

/** A process that keeps a mount namespace with scratch copies of the places that are written to. */
async function holdNamespace(scratch: string): Promise<Holder> {
  const places = ['/opt', '/etc', '/usr/local', '/var/lib'];
  const mounts = places.map((place, at) => {
    const [upper, work] = [join(scratch, `u${at}`), join(scratch, `w${at}`)];
    mkdirSync(upper);
    mkdirSync(work);
    return `mount -t overlay overlay -o lowerdir=${place},upperdir=${upper},workdir=${work} ${place}`;
  });
  const script = [
    'mount -t tmpfs tmpfs /run',
    ...mounts,
    'echo $$',
    'exec sleep 600 >/dev/null',
  ].join(' && ');
  const { spawn } = await import('node:child_process');
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`unshare ended with ${code}`)));
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = (): Promise<void> => {
    child.kill('SIGKILL');
    return ended;
  };
  return { pid: child.pid!, end };
}
