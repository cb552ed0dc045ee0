import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync, truncateSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AssignedTask, FilesAction, FilesRequest, type Init } from '../../../proto/index.ts';
import {
  busybox,
  ContainerdWorld,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import type { Life } from '../../../worker/runtime/runtime.contract.ts';
import type { Exit, TaskController } from '../../../worker/runtime.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['tini-static']);
const never = new AbortController().signal;

describe('a container', { skip: missing || false }, () => {
  let engine: PrivateContainerd;
  let world: ContainerdWorld;
  let life: Life;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    world = new ContainerdWorld(engine);
    await world.load();
    life = await world.open();
  });
  after(async () => {
    await life.kill();
    await world.close();
    await engine.close();
  });

  async function start(task: AssignedTask): Promise<TaskController> {
    const controller = life.runtime.controller(task);
    await controller.prepare(never);
    await controller.start(never);
    return controller;
  }
  async function end(task: AssignedTask): Promise<Exit> {
    const controller = await start(task);
    const exit = await controller.wait(never);
    await controller.remove();
    return exit;
  }
  async function linesOf(text: string, spec: object = {}, init: Init<AssignedTask> = {}) {
    const task = world.container(text, init, spec);
    const exit = await end(task);
    assert.equal(exit.code, 0, world.output(task, 'err'));
    return world.output(task).trim().split('\n').slice(1);
  }
  async function refusal(task: AssignedTask): Promise<{ code: string; message: string }> {
    const controller = life.runtime.controller(task);
    const error = await controller
      .prepare(never)
      .then(() => controller.start(never))
      .then(
        () => ({ code: 'none', message: 'it was started' }),
        (thrown) => thrown,
      );
    await controller.remove();
    return error;
  }

  /** What is read of `/tmp/left`, as an archive. */
  async function leftBy(
    task: AssignedTask,
    action: FilesAction = FilesAction.READ,
  ): Promise<string> {
    const controller = life.runtime.controller(task);
    const session = await controller.files(FilesRequest.create({ action, path: '/tmp/left' }));
    const chunks: Buffer[] = [];
    for await (const chunk of session.stdout ?? []) chunks.push(chunk as Buffer);
    await session.done;
    session.close();
    return Buffer.concat(chunks).toString('utf8');
  }

  it('keeps standard output and error apart', async () => {
    const task = world.container('echo to-out; echo to-err >&2');
    await end(task);
    assert.equal(world.output(task), 'started\nto-out\n');
    assert.equal(world.output(task, 'err'), 'to-err\n');
  });
  it('has the environment of its image and its service, and nothing of the daemon', async () => {
    process.env['SWARM_LEAK'] = 'leaked';
    const env = ['GREETING=hello', 'SLOT={{.Task.Slot}}', 'ON={{.Node.Hostname}}'];
    const lines = await linesOf('env', { env, hostname: 'box-{{.Task.Slot}}' });
    delete process.env['SWARM_LEAK'];
    for (const line of ['GREETING=hello', 'SLOT=2', 'ON=node1', 'FROM_IMAGE=yes', 'HOSTNAME=box-2'])
      assert.ok(lines.includes(line), `${line} in ${lines}`);
    assert.ok(!lines.some((line) => line.startsWith('SWARM_LEAK')));
  });
  it('runs as a user of its image, with the groups and the rights of one', async () => {
    const text = 'id; grep CapEff /proc/self/status; pwd';
    const [id, capabilities, place] = await linesOf(text, { user: 'web', workdir: '/tmp' });
    assert.equal(id, 'uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)');
    assert.match(capabilities!, /CapEff:\s0000000000000000/);
    assert.equal(place, '/tmp');
  });
  it('has the rights that Docker gives to root, and a filter of system calls', async () => {
    const text = 'grep -E "^(CapEff|Seccomp):" /proc/self/status';
    const [capabilities, seccomp] = await linesOf(text);
    assert.match(capabilities!, /00000000a80425fb$/);
    assert.match(seccomp!, /2$/);
  });
  it('may mount nothing and see nothing of the host', async () => {
    const text =
      'mount -t tmpfs none /mnt 2>/dev/null && echo mounted; ' +
      'echo 1 2>/dev/null >/proc/sys/kernel/panic && echo wrote; wc -c </proc/interrupts; ls /dev';
    const lines = await linesOf(text);
    assert.ok(!lines.includes('mounted') && !lines.includes('wrote'), `${lines}`);
    assert.equal(lines[0], '0');
    assert.ok(!lines.some((line) => /^(sd|vd|mem|kmsg)/.test(line)), `${lines}`);
  });
  it('has a root that is read-only, with a place that is not', async () => {
    const mounts = [
      { type: 'tmpfs', target: '/scratch', options: { 'tmpfs-size': '1048576' }, source: '' },
    ];
    const text =
      'touch /x 2>/dev/null || : ; (: >/x) 2>/dev/null && echo root; : >/scratch/x && echo scratch';
    assert.deepEqual(await linesOf(text, { readOnly: true, mounts }), ['scratch']);
  });
  it('keeps a volume over its life, filled from the image at first', async () => {
    const mounts = [{ type: 'volume', source: 'kept', target: '/data', options: {} }];
    assert.deepEqual(await linesOf('cat /data/*; echo more >/data/z', { mounts }), [
      'from the image',
    ]);
    assert.deepEqual(await linesOf('cat /data/*', { mounts }), ['from the image', 'more']);
  });
  it('may be of many layers: also its volumes are filled, and its files seen when it is over', async () => {
    const [first = [], second = []] = busybox().layers;
    const more = Array.from({ length: 80 }, (_, at) => [{ name: `data/n${at}`, content: `${at}` }]);
    await world.load('test/many:1', { layers: [first, second, ...more] });
    const mounts = [{ type: 'volume', source: 'many', target: '/data', options: {} }];
    const spec = { image: 'test/many:1', mounts };
    assert.deepEqual(await linesOf('ls /data | wc -l', spec), ['81']);
    const task = world.container('cat /data/n79 >/tmp/left', {}, spec);
    const controller = await start(task);
    assert.equal((await controller.wait(never)).code, 0);
    assert.match(await leftBy(task), /79/);
    await controller.remove();
    await world.unload('test/many:1');
  });
  it('has its own name and the hosts it was given', async () => {
    const hosts = ['db:10.1.2.3'];
    const lines = await linesOf('hostname; grep db /etc/hosts; cat /etc/hostname', {
      hosts,
      hostname: 'me',
    });
    assert.deepEqual(lines, ['me', '10.1.2.3\tdb', 'me']);
  });
  it('is killed for too much memory, and the exit says so', async () => {
    const text = 'x=$(dd if=/dev/zero bs=1M count=80 2>/dev/null | tr "\\0" x); exec true';
    const task = world.container(`exec tail -c 90000000 /dev/zero; ${text}`, {
      spec: { limits: { memoryBytes: 32 << 20 } },
    });
    const exit = await end(task);
    assert.deepEqual([exit.code, exit.oom], [137, true], exit.message);
  });
  it('has the limits of CPU and processes that it was given', async () => {
    const text =
      'cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max 2>/dev/null || ' +
      'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max';
    const limits = { nanoCpus: 500_000_000, pids: 50 };
    const [quota, pids] = await linesOf(text, {}, { spec: { limits } });
    assert.match(quota!, /^50000/);
    assert.equal(pids, '50');
  });
  it('answers at its task port through the router, and sees no other container', async () => {
    const server = world.container('exec httpd -f -p 80 -h /www', {}, { stopGraceMs: 10 });
    const running = await start(server);
    const [port] = world.taskPorts.get(server.id)!;
    const page = await until('an answer', () => get(port!.dialHost, port!.dialPort));
    assert.match(page, /hello from a container/);
    const address = execFileSync('ip', [
      '-n',
      `swt-${world.nodeId.slice(0, 8)}-${server.id}`,
      '-br',
      '-4',
      'addr',
      'show',
      'eth0',
    ])
      .toString()
      .split(/\s+/)[2]!
      .replace('/32', '');
    const lines = await linesOf(`nc -w 1 ${address} 80 </dev/null && echo reached || echo not`);
    assert.deepEqual(lines, ['not']);
    await running.shutdown(never);
    await running.remove();
  });
  it('answers to a health command with its output and code', async () => {
    const task = world.task('run');
    const controller = await start(task);
    const probe = await controller.probeCommand(['/bin/sh', '-c', 'echo fine; exit 3'], 5_000);
    assert.deepEqual(probe, { code: 3, output: 'fine\n' });
    const slow = await controller.probeCommand(['/bin/sleep', '1000'], 50);
    assert.equal(slow.code, -1);
    assert.match(slow.output, /longer than its timeout of 50 ms/);
    const absent = await controller.probeCommand(['/no/such'], 5_000);
    assert.notEqual(absent.code, 0);
    await controller.terminate();
    await controller.remove();
  });
  it('goes on while the disk of its output is full, and its log when there is room', async () => {
    const logs = join(world.stateDir, 'logs');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', logs]);
    try {
      // Each line fills a pipe an eighth: who does not empty it stops the container.
      const line = `echo ${'x'.repeat(8_000)}`;
      const task = world.container(`while :; do ${line}; echo >>/tmp/lines; done`);
      const controller = await start(task);
      const out = join(world.logDirectory(task.id), 'out');
      const lines = async (): Promise<number> => {
        const count = await controller.probeCommand(['/bin/sh', '-c', 'wc -l </tmp/lines'], 5_000);
        return Number(count.output);
      };
      await until('a full disk', () => statSync(out).size > 900_000 || undefined);
      const full = await lines();
      await until('that it goes on', async () => (await lines()) > full + 50 || undefined);
      truncateSync(out, 0);
      await until('its note', () => /the disk was full/.test(world.output(task)) || undefined);
      await until(
        'new lines',
        () => /here\n[\s\S]*\nx{8000}\n/.test(world.output(task)) || undefined,
      );
      await controller.terminate();
      await controller.remove();
    } finally {
      execFileSync('umount', ['-l', logs]);
    }
  });
  it('goes on while containerd is killed, and its end is known afterwards', async () => {
    const [stays, ends] = [world.task('run'), world.task('run')];
    const [staying, ending] = [await start(stays), await start(ends)];
    await world.ready(stays);
    const waiting = ending.wait(never);
    await engine.kill();
    await world.killTask(ends);
    assert.equal(world.processes(stays), 1);
    await engine.start();
    assert.equal((await waiting).signal, 'SIGKILL');
    await staying.shutdown(never);
    assert.equal((await staying.wait(never)).signal, 'SIGTERM');
    await Promise.all([staying.remove(), ending.remove()]);
  });
  it('is taken up by a daemon that starts while containerd is down', async () => {
    const task = world.task('run');
    await start(task);
    await world.ready(task);
    await life.kill();
    world.taskPorts.clear();
    await engine.kill();
    life = await world.open();
    const [adopted] = await life.runtime.list();
    assert.deepEqual([adopted?.taskId, adopted?.running], [task.id, true]);
    assert.ok(world.taskPorts.has(task.id));
    await engine.start();
    const controller = life.runtime.controller(task);
    await controller.shutdown(never);
    assert.equal((await controller.wait(never)).signal, 'SIGTERM');
    await controller.remove();
  });
  it('is cleared away later where containerd is down when it is time', async () => {
    const task = world.container('exit 0');
    const controller = await start(task);
    await controller.wait(never);
    await engine.kill();
    await controller.remove();
    assert.deepEqual(await life.runtime.list(), []);
    await engine.start();
    await until('nothing', () => world.leftovers().length === 0 || undefined);
  });
  it('shows the files that it left, over restarts, until it is removed', async () => {
    const task = world.container('echo what was left >/tmp/left; exit 3');
    const first = await start(task);
    assert.equal((await first.wait(never)).code, 3);
    const look = (action: FilesAction) => leftBy(task, action);
    assert.match(await look(FilesAction.READ), /what was left/);
    await life.kill();
    life = await world.open();
    assert.match(await look(FilesAction.READ), /what was left/);
    await assert.rejects(look(FilesAction.WRITE), { code: 'NOT_RUNNING' });
    const next = await start(world.task('run'));
    await life.runtime.controller(task).remove();
    assert.deepEqual((await next.status()).ports.length, 1);
    await next.terminate();
    await next.remove();
    await assert.rejects(look(FilesAction.READ), { code: 'NOT_RUNNING' });
  });
  it('has a terminal where it asks for one', async () => {
    assert.match((await linesOf('tty', { tty: true })).join(), /\/dev\/pts\/0/);
  });
  it('with an init stops by its signal, also what does not handle it', async () => {
    const task = world.container('echo READY; exec sleep 1000', {}, { init: true });
    const controller = await start(task);
    await world.ready(task);
    await controller.shutdown(never);
    assert.equal((await controller.wait(never)).signal, 'SIGTERM');
    await controller.remove();
  });
  it('is refused with its reason when it can not be', async () => {
    const cases: readonly [string, object, RegExp][] = [
      ['PULL_FAILED', { image: '127.0.0.1:1/none:1' }, /can't reach 127.0.0.1:1/],
      ['USER_UNKNOWN', { user: 'nobody-here' }, /has no user nobody-here/],
      ['COMMAND_NOT_FOUND', { command: ['/no/such/command'] }, /no command \/no\/such\/command/],
      ['NOT_ALLOWED', { mounts: [{ type: 'bind', source: '/etc', target: '/x' }] }, /volume/],
      ['NOT_ALLOWED', { sysctls: { 'vm.swappiness': '1' } }, /whole node/],
      ['INVALID_SPEC', { capabilityAdd: ['FLY'] }, /FLY is no capability/],
      ['INVALID_SPEC', { env: ['A={{.Nothing}}'] }, /no placeholder/],
    ];
    for (const [code, spec, text] of cases) {
      const error = await refusal(world.container('true', {}, spec));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, text);
    }
  });
  it('of another node on the same containerd is left alone, also by the collector', async () => {
    const other = new ContainerdWorld(engine);
    await other.load();
    const otherLife = await other.open();
    const mine = world.task('run');
    const controller = await start(mine);
    await world.ready(mine);
    const theirs = other.task('exit3');
    const their = otherLife.runtime.controller(theirs);
    await their.prepare(never);
    await their.start(never);
    assert.equal((await their.wait(never)).code, 3);
    await their.remove();
    // Deletes every image of its own, and lets containerd collect what nobody refers to.
    await otherLife.kill();
    await other.close();
    assert.equal(world.processes(mine), 1);
    assert.deepEqual(await linesOf('echo still here'), ['still here']);
    await controller.shutdown(never);
    await controller.remove();
  });
  it('leaves nothing behind', async () => {
    assert.deepEqual(world.leftovers(), []);
    await engine.collect();
    assert.equal(engine.snapshots(), 2, 'the layers of the one image');
  });
});

function get(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, host, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => resolve(undefined));
    socket.on('close', () => resolve(text === '' ? undefined : text));
  });
}
