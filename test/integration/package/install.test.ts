import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Machine } from '../../support/machine.ts';
import { get, ROOT, run, tempDir } from '../../support/swarm.ts';

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
  let machine: Machine;

  before(async () => {
    const out = join(temporary.path, 'out');
    const made = await run('npm', ['run', 'package', '--', out]);
    assert.equal(made.code, 0, made.stdout + made.stderr);
    tarball = join(out, readdirSync(out).find((name) => name.endsWith('.tar.gz'))!);
    machine = await Machine.make();
  });
  after(async () => {
    await machine?.sh('swarm stop --with-tasks');
    await machine?.end();
    temporary.remove();
  });

  const installer = (): string => `cd /opt && sh '${join(ROOT, 'deploy', 'install.sh')}'`;

  test('installs and makes a cluster in one command', async () => {
    const flags = `--advertise-addr ${CONTROL} --listen-addr ${CONTROL} --allow-process`;
    const said = await machine.must(`${installer()} '${tarball}' init ${flags}`);
    assert.match(said, /Installed .* in \/opt\/swarm/);
    assert.match(await machine.must('swarm info'), /manager/);
    assert.equal(
      await machine.must("stat -c '%a %G' /run/swarm /run/swarm/swarm.sock"),
      '750 swarm\n660 swarm\n',
    );
  });

  test('whoever is in the group swarm administers the cluster, others are told how to', async () => {
    const as = (group: string): string => `setpriv --reuid=65534 --regid=${group} --clear-groups`;
    assert.match(
      await machine.must(`${as('$(getent group swarm | cut -d: -f3)')} swarm node ls`),
      /Leader/,
    );
    const other = await machine.sh(`${as('65534')} env HOME=/tmp swarm node ls`);
    assert.equal(other.code, 6, other.stderr);
    assert.match(other.stderr, /usermod -aG swarm/);
  });

  test('runs a service from what is in the tarball alone', async () => {
    await machine.must(
      `swarm service create --name hello -p ${PORT}:80 --user nobody --process hello`,
    );
    assert.equal((await get('127.0.0.1', PORT)).status, 200);
  });

  test('an upgrade in place keeps every task', async () => {
    const pid = `swarm task inspect $(swarm service ps -q hello) --format '{{.Status.PID}}'`;
    const before = await machine.must(pid);
    await machine.must(`${installer()} '${tarball}'`);
    await machine.must('swarm stop && swarm start --allow-process');
    assert.equal(await machine.must(pid), before);
    assert.equal((await get('127.0.0.1', PORT)).status, 200);
  });

  test('never hides another program called swarm', async () => {
    await machine.must(
      `printf '#!/bin/sh\\n' > /usr/local/sbin/swarm; chmod 755 /usr/local/sbin/swarm; rm /usr/local/bin/swarm`,
    );
    const said = await machine.must(`PATH=/usr/local/sbin:$PATH; ${installer()} '${tarball}'`);
    assert.match(said, /another program is called swarm/);
    await machine.must('rm /usr/local/sbin/swarm; ln -s /opt/swarm/swarm /usr/local/bin/swarm');
  });

  test('uninstalling takes everything away', async () => {
    await machine.must(`${installer()} --uninstall --purge`);
    const left = await machine.must(
      'ls -d /opt/swarm /usr/local/bin/swarm /run/swarm /var/lib/swarm 2>/dev/null || true',
    );
    assert.equal(left, '');
    await assert.rejects(get('127.0.0.1', PORT, '/', 1_000));
  });

  test('a broken tarball is refused and changes nothing', async () => {
    const broken = join(temporary.path, 'broken.tar.gz');
    writeFileSync(broken, 'not a tarball');
    const ran = await machine.sh(`${installer()} '${broken}'`);
    assert.notEqual(ran.code, 0);
    assert.match(ran.stderr, /no tarball of swarm/);
    assert.equal(await machine.must('ls -d /opt/swarm 2>/dev/null || true'), '');
  });
});
