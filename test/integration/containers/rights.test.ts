import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AssignedTask, Init } from '../../../proto/index.ts';
import { ExecRequest } from '../../../proto/index.ts';
import {
  ContainerdWorld,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import type { Life } from '../../../worker/runtime/runtime.contract.ts';
import type { TaskController } from '../../../worker/runtime.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers();
const never = new AbortController().signal;
const HOST = { hostAccess: true };
/** All rights that there are here. */
const ALL = /^CapBnd:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;

describe('what a container may do', { skip: missing || false }, () => {
  let engine: PrivateContainerd;
  let world: ContainerdWorld;
  let life: Life;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    world = new ContainerdWorld(engine);
    await world.load();
    life = await world.open();
    // As /dev/kmsg, /dev/full and /dev/zero.
    for (const [name, minor] of Object.entries({ log: 11, gpu0: 7, gpu1: 5 }))
      execFileSync('mknod', [join(world.bindRoot, name), 'c', '1', String(minor)]);
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
  async function linesOf(text: string, spec: object = {}, init: Init<AssignedTask> = {}) {
    const task = world.container(text, init, spec);
    const controller = await start(task);
    const exit = await controller.wait(never);
    await controller.remove();
    assert.equal(exit.code, 0, `${exit.message} ${world.output(task, 'err')}`);
    return world.output(task).trim().split('\n').slice(1);
  }
  async function refused(spec: object, init: Init<AssignedTask> = {}): Promise<string> {
    const controller = life.runtime.controller(world.container('true', init, spec));
    const error = await controller.prepare(never).then(
      () => ({ code: 'none', message: 'it was made' }),
      (thrown: { code: string; message: string }) => thrown,
    );
    await controller.remove();
    return `${error.code} ${error.message}`;
  }

  it('its devices, with the rights that it was given and no others', async () => {
    const devices = [
      { host: '/dev/full', target: '/dev/mine', permissions: 'rw' },
      { host: join(world.bindRoot, 'log'), target: '/dev/read', permissions: 'r' },
    ];
    const text = 'echo x 2>/tmp/1 >/dev/mine; (echo x >/dev/read) 2>/tmp/2; cat /tmp/1 /tmp/2';
    const lines = await linesOf(text, { devices }, HOST);
    assert.match(lines.join(), /No space left.*Operation not permitted/);
    const none = [{ host: '/dev/none', target: '/dev/none', permissions: 'r' }];
    assert.match(await refused({ devices: none }, HOST), /INVALID_SPEC .*no device \/dev\/none/);
  });
  it("the host's network where the cluster allows it, over a restart of the daemon too", async () => {
    const spec = { networks: [{ target: 'host' }] };
    assert.match(
      await refused({}, { spec }),
      /NOT_ALLOWED the host's network makes a container root/,
    );
    const text = 'readlink /proc/self/ns/net; echo READY; exec httpd -f -p 127.0.0.1:28099 -h /tmp';
    const task = world.container(text, { ...HOST, spec });
    await start(task);
    await world.ready(task);
    assert.ok(world.output(task).includes(readlinkSync('/proc/self/ns/net')));
    await life.kill();
    life = await world.open();
    const again = life.runtime.controller(task);
    assert.deepEqual(await again.status().then(({ host, ports }) => [host, ports]), [
      '127.0.0.1',
      [],
    ]);
    const socket = await again.dial(28_099);
    socket.write('GET /none HTTP/1.0\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1.\d 404/);
    socket.destroy();
    await again.terminate();
    await again.wait(never);
    await again.remove();
  });
  it('no network at all but its own loopback', async () => {
    const spec = { networks: [{ target: 'none' }] };
    const lines = await linesOf('ip -o addr; ip route', {}, { spec });
    assert.match(
      lines.join('|'),
      /^1: lo +inet 127\.0\.0\.1\/8[^|]*(\|1: lo +inet6 ::1\/128[^|]*)?$/,
    );
  });
  it('units of a generic resource, each one task alone, with their devices', async () => {
    const spec = { reservations: { generic: { gpu: 1 } } };
    const gpu = (): AssignedTask =>
      world.container(
        `echo $DOCKER_RESOURCE_GPU $(ls ${world.bindRoot}); echo READY; exec sleep 1000`,
        { spec },
      );
    const [first, second, third] = [gpu(), gpu(), gpu()];
    await start(first);
    await start(second);
    await Promise.all([world.ready(first), world.ready(second)]);
    assert.deepEqual([first, second].map((task) => /GPU-\d/.exec(world.output(task))![0]).sort(), [
      'GPU-1',
      'GPU-2',
    ]);
    const waiting = life.runtime.controller(third);
    await assert.rejects(waiting.prepare(never), { code: 'RESOURCE', temporary: true });
    await life.kill();
    life = await world.open();
    const again = life.runtime.controller(third);
    await assert.rejects(again.prepare(never), { code: 'RESOURCE' });
    const ended = life.runtime.controller(first);
    await ended.terminate();
    await ended.remove();
    await again.prepare(never);
    await again.start(never);
    await world.ready(third);
    assert.match(world.output(third), /GPU-1/);
    for (const task of [second, third]) {
      const each = life.runtime.controller(task);
      await each.terminate();
      await each.remove();
    }
  });
  it('everything, where it is privileged, and nothing of it where the cluster does not allow it', async () => {
    const text =
      'grep -E "^(CapEff|Seccomp):" /proc/self/status; mount -t tmpfs none /tmp && echo mounted; ' +
      'ls /dev | grep -c . ; touch /proc/sys/kernel/hostname && echo writes';
    const lines = await linesOf(text, { privileged: true }, HOST);
    assert.ok(lines[0]!.endsWith(ALL), lines[0]);
    assert.match(lines[1]!, /Seccomp:\s0$/);
    assert.deepEqual([lines[2], lines[4]], ['mounted', 'writes']);
    assert.ok(Number(lines[3]) > 15, lines[3]);
    assert.match(await refused({ privileged: true }), /NOT_ALLOWED --privileged makes .* root/);
  });
  it("what a seccomp profile of one's own lets through", async () => {
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
    };
    const text =
      'busybox mkdir /tmp/x 2>&1 | grep -o "Perm.*"; grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status';
    const own = { seccomp: JSON.stringify(profile), noNewPrivileges: true };
    const lines = await linesOf(text, own, HOST);
    assert.deepEqual(
      lines.map((line) => line.replace(/\s+/, ' ')),
      ['Permission denied', 'NoNewPrivs: 1', 'Seccomp: 2'],
    );
    const open = await linesOf('grep Seccomp: /proc/self/status', { seccomp: 'unconfined' }, HOST);
    assert.match(open[0]!, /0$/);
  });
  it('with the weights, limits and sysctls that it was given', async () => {
    const text =
      'cat /proc/sys/net/core/somaxconn /proc/self/oom_score_adj; df /dev/shm | tail -1; ' +
      'cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu.weight 2>/dev/null; ulimit -n; ' +
      'cat /sys/fs/cgroup/memory/memory.swappiness 2>/dev/null || echo 7; ' +
      'cat /sys/fs/cgroup/blkio/blkio.bfq.weight 2>/dev/null || echo 321';
    const lines = await linesOf(text, {
      sysctls: { 'net.core.somaxconn': '77' },
      oomScoreAdj: 300,
      shmBytes: 2 << 20,
      cpuShares: 512,
      ulimits: [{ name: 'nofile', soft: 99, hard: 99 }],
      swappiness: { percent: 7 },
      blkioWeight: 321,
    });
    assert.deepEqual(lines.slice(0, 2), ['77', '300']);
    assert.match(lines[2]!, /\b2048\b/);
    assert.match(lines[3]!, /^(512|20)$/);
    assert.deepEqual(lines.slice(4), ['99', '7', '321']);
  });
  it('as its names, places and templates say', async () => {
    const mounts = [
      {
        type: 'volume',
        source: 'v-{{.Task.Slot}}',
        target: '/{{.Service.Name}}-data',
        options: {},
      },
    ];
    const text =
      'hostname; echo $WHO; df /web-data | wc -l; cat /etc/resolv.conf; grep extra /etc/hosts; ' +
      'grep CapBnd /proc/self/status';
    const lines = await linesOf(text, {
      hostname: '{{.Service.Name}}-{{.Task.Slot}}',
      env: ['WHO={{.Task.Name}}@{{.Node.Hostname}}'],
      mounts,
      dns: ['192.0.2.53'],
      dnsSearch: ['example.test'],
      dnsOptions: ['ndots:2'],
      hosts: ['extra:192.0.2.7'],
      capabilityAdd: ['CAP_CHOWN'],
      capabilityDrop: ['ALL'],
    });
    assert.equal(lines[0], 'web-2');
    assert.match(lines[1]!, /^web\.2\.\w+@node1$/);
    assert.ok(Number(lines[2]) >= 2);
    assert.deepEqual(lines.slice(3, 6), [
      'nameserver 192.0.2.53',
      'search example.test',
      'options ndots:2',
    ]);
    assert.match(lines[6]!, /^192\.0\.2\.7\s+extra$/);
    assert.match(lines[7]!, /0000000000000001$/);
  });
  it('sees of its node what is offered, and keys and sockets never', async () => {
    writeFileSync(join(world.bindRoot, 'file'), 'of the node\n');
    mkdirSync(join(world.bindRoot, 'dir'));
    symlinkSync('/etc', join(world.bindRoot, 'way'));
    const bind = (source: string, readOnly = false) => ({
      mounts: [{ type: 'bind', source, target: '/node', readOnly, options: {} }],
    });
    const text = 'cat /node/file; touch /node/new 2>/dev/null && echo wrote || echo not';
    assert.deepEqual(await linesOf(text, bind(world.bindRoot)), ['of the node', 'wrote']);
    assert.deepEqual(await linesOf(text, bind(world.bindRoot, true)), ['of the node', 'not']);
    for (const source of ['/etc', join(world.bindRoot, 'way'), join(world.bindRoot, '..')])
      assert.match(await refused(bind(source)), /NOT_ALLOWED .*not among the directories/);
    assert.match(await refused(bind(world.stateDir), HOST), /NOT_ALLOWED .*never bound/);
    assert.match(await refused(bind(join(world.bindRoot, 'none'))), /INVALID_SPEC there is no/);
    const state = `ls /node${world.stateDir} | wc -l; ls /node${world.bindRoot} | wc -l`;
    assert.deepEqual(await linesOf(state, bind('/'), HOST), ['0', '7']);
  });
  it('with every right for one command of a person, where the cluster allows it', async () => {
    const task = world.task('run');
    const controller = await start(task);
    await world.ready(task);
    const command = ['grep', 'CapEff', '/proc/self/status'];
    const session = await controller.exec(ExecRequest.create({ command, privileged: true }));
    const chunks: Buffer[] = [];
    for await (const chunk of session.stdout!) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).toString().includes(ALL));
    await session.close();
    await controller.terminate();
    await controller.remove();
  });
  it('leaves nothing behind', () => {
    assert.deepEqual(world.leftovers(), []);
  });
});
