import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AssignedTask, Resources, TaskSpec } from '../../../proto/index.ts';
import type { TaskController } from '../../runtime.ts';
import { type Life, runtimeContract } from '../runtime.contract.ts';
import { ProcessWorld } from './process.fixture.ts';

runtimeContract('process', async () => new ProcessWorld());
runtimeContract(
  'process, no pid namespace',
  async () => new ProcessWorld({ pidNamespaces: 'never' }),
);

const never = new AbortController().signal;
const isRoot = process.getuid?.() === 0;

for (const pidNamespaces of ['try', 'never'] as const) {
  describe(`process runtime, pid namespaces: ${pidNamespaces}`, () => {
    let world: ProcessWorld;
    let life: Life;
    before(async () => {
      world = new ProcessWorld({ pidNamespaces, pathDirs: ['/opt/beside'] });
      life = await world.open();
    });
    after(async () => {
      await life.kill();
      await world.close();
    });

    async function start(task: AssignedTask): Promise<TaskController> {
      const controller = life.runtime.controller(task);
      await controller.prepare(never);
      await controller.start(never);
      return controller;
    }
    async function outputOf(task: AssignedTask): Promise<string> {
      const controller = await start(task);
      await controller.wait(never);
      await controller.remove();
      return readFileSync(join(world.stateDir, 'logs', task.id, 'out'), 'utf8');
    }

    it('gives a task only its own environment', async () => {
      process.env['SWARM_LEAK'] = 'leaked';
      const task = world.command('env', {}, { env: ['GREETING=hello world'] });
      const env = new Map(
        (await outputOf(task)).split('\n').map((line) => [line.split('=')[0], line] as const),
      );
      delete process.env['SWARM_LEAK'];
      assert.equal(env.get('GREETING'), 'GREETING=hello world');
      assert.equal(env.get('SWARM_TASK_NAME'), `SWARM_TASK_NAME=web.2.${task.id}`);
      assert.equal(env.get('SWARM_SERVICE_VERSION'), 'SWARM_SERVICE_VERSION=3');
      assert.match(env.get('PATH') ?? '', /^PATH=\/opt\/beside:/);
      assert.match(env.get('PORT') ?? '', /^PORT=2\d{4}$/);
      assert.equal(env.get('PORT_80')?.slice('PORT_80='.length), env.get('PORT')?.slice(5));
      assert.equal(env.get('HOST'), 'HOST=127.0.0.1');
      assert.equal(env.has('SWARM_LEAK'), false);
    });
    it('tells a task which units of generic resources it has, and gives them to one alone', async () => {
      const reserved = (generic: { [kind: string]: number }, text: string) => {
        const task = world.command(text);
        const reservations = Resources.create({ generic });
        return AssignedTask.with(task, { spec: TaskSpec.with(task.spec!, { reservations }) });
      };
      const told = 'env | grep ^DOCKER_RESOURCE_ | sort';
      const first = reserved({ gpu: 1, ssd: 2 }, `${told}; READY; sleep 100`);
      const running = await start(first);
      await world.ready(first);
      assert.equal(await outputOf(reserved({ gpu: 1 }, told)), 'DOCKER_RESOURCE_GPU=G2\n');
      const both = reserved({ gpu: 2 }, told);
      const waiting = life.runtime.controller(both);
      await assert.rejects(waiting.prepare(never), { code: 'RESOURCE', temporary: true });
      await running.terminate();
      const out = readFileSync(join(world.stateDir, 'logs', first.id, 'out'), 'utf8');
      assert.equal(out, 'DOCKER_RESOURCE_GPU=G1\nDOCKER_RESOURCE_SSD=2\n');
      assert.equal(await outputOf(both), 'DOCKER_RESOURCE_GPU=G1,G2\n');
      await running.remove();
    });
    it('keeps standard output and error apart', async () => {
      const task = world.command('echo to-out; echo to-err >&2');
      assert.equal(await outputOf(task), 'to-out\n');
      const error = readFileSync(join(world.stateDir, 'logs', task.id, 'err'), 'utf8');
      assert.equal(error, 'to-err\n');
    });
    for (const stopSignal of ['SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGHUP']) {
      it(`passes ${stopSignal} on to a task that handles it`, async () => {
        const name = stopSignal.slice(3);
        const text = `trap "exit 42" ${name}; READY; while :; do sleep 0.02; done`;
        const task = world.command(text, {}, { stopSignal });
        const controller = await start(task);
        await world.ready(task);
        await controller.shutdown(never);
        assert.equal((await controller.wait(never)).code, 42);
        await controller.remove();
      });
    }
    it('stops a task without a handler also by INT', async () => {
      const task = world.command('READY; exec sleep 1000', {}, { stopSignal: 'SIGINT' });
      const controller = await start(task);
      await world.ready(task);
      await controller.shutdown(never);
      assert.equal((await controller.wait(never)).signal, 'SIGINT');
      await controller.remove();
    });
    it('calls a task lost whose supervisor was killed, and leaves nothing of it', async () => {
      const task = world.task('escaping');
      const controller = await start(task);
      await world.ready(task);
      const waiting = controller.wait(never);
      process.kill(world.supervisorPid(task), 'SIGKILL');
      const exit = await waiting;
      assert.equal(exit.lost, true);
      await world.until(() => world.processes(task) === 0);
      await controller.remove();
    });
    it('calls a task lost that was started before a reboot', async () => {
      const task = world.task('run');
      const base = join(world.stateDir, 'run', task.id);
      writeFileSync(`${base}.json`, JSON.stringify({ boot: 'before', ports: [] }));
      writeFileSync(`${base}.pid`, `${process.pid} 1 before\n`);
      const adopted = (await life.runtime.list()).find(({ taskId }) => taskId === task.id);
      assert.deepEqual([adopted?.running, adopted?.exit?.lost], [false, true]);
      await life.runtime.controller(task).remove();
    });
    it('is not fooled by another process with the pid of a dead supervisor', async () => {
      const task = world.task('run');
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      const base = join(world.stateDir, 'run', task.id);
      writeFileSync(`${base}.json`, JSON.stringify({ boot, ports: [] }));
      writeFileSync(`${base}.pid`, `${process.pid} 1 ${boot}\n`);
      const adopted = (await life.runtime.list()).find(({ taskId }) => taskId === task.id);
      assert.deepEqual([adopted?.running, adopted?.exit?.lost], [false, true]);
      await life.runtime.controller(task).remove();
    });
    it('runs a health command as the task', async () => {
      const task = world.command('READY; exec sleep 1000');
      const controller = await start(task);
      const good = await controller.probeCommand(['/bin/sh', '-c', 'echo $SWARM_TASK_ID'], 5_000);
      assert.deepEqual(good, { code: 0, output: `${task.id}\n` });
      const slow = await controller.probeCommand(['sleep', '1000'], 20);
      assert.equal(slow.code, -1);
      assert.match(slow.output, /longer than its timeout/);
      await controller.terminate();
      await controller.remove();
    });
    it('rejects a missing command and says where it was looked for', async () => {
      const task = world.command('', {}, { command: ['no-such-program'] });
      await assert.rejects(life.runtime.controller(task).prepare(never), {
        code: 'COMMAND_NOT_FOUND',
        message: /no-such-program is in none of \/opt\/beside:.*install it there/,
      });
    });
    it('rejects a missing working directory', async () => {
      const task = world.command('', {}, { workdir: '/no/such/place' });
      await assert.rejects(life.runtime.controller(task).prepare(never), {
        code: 'WORKDIR_NOT_FOUND',
        message: /\/no\/such\/place/,
      });
    });
    it('rejects an image', async () => {
      const task = world.command('', { spec: { container: { image: 'nginx' } } });
      await assert.rejects(life.runtime.controller(task).prepare(never), { code: 'UNSUPPORTED' });
    });
    it('sets ulimits', async () => {
      const ulimits = [{ name: 'nofile', soft: 77, hard: 88 }];
      assert.equal(
        await outputOf(world.command('ulimit -n; ulimit -Hn', {}, { ulimits })),
        '77\n88\n',
      );
    });
  });
}

describe('task ports', () => {
  it('are never given to two tasks of the machine, whatever daemon they belong to', async () => {
    const world = new ProcessWorld();
    const portsDirectory = join(world.stateDir, 'ports');
    const other = new ProcessWorld({ portsDirectory });
    const lives = [await world.open(), await other.open()];
    const seen = new Set<number>();
    for (const [i, life] of lives.entries()) {
      for (let n = 0; n < 5; n++) {
        const controller = life.runtime.controller([world, other][i]!.task('run'));
        await controller.prepare(never);
        for (const { port } of (await controller.status()).ports) seen.add(port);
      }
    }
    assert.equal(seen.size, 10);
    for (const life of lives) await life.kill();
    await world.close();
    await other.close();
  });
  it('keep off an address that a program without a reservation listens on', async () => {
    const world = new ProcessWorld({
      bindProbe: async (_, __, port) => (port % 2 ? 'EADDRINUSE' : ''),
    });
    const life = await world.open();
    const controller = life.runtime.controller(world.task('run'));
    await controller.prepare(never);
    assert.equal((await controller.status()).ports[0]!.port % 2, 0);
    await life.kill();
    await world.close();
  });
  it('are free again when the task that had them is gone with its state directory', async () => {
    const first = 20_000;
    const random = { below: () => 0, bytes: () => new Uint8Array(), stream: () => random };
    const world = new ProcessWorld({ random, bindProbe: async () => '' });
    const life = await world.open();
    symlinkSync(
      '/gone/run/task1#of-another-boot',
      join(world.stateDir, 'ports', `127.0.0.1-${first}`),
    );
    const controller = life.runtime.controller(world.task('run'));
    await controller.prepare(never);
    assert.equal((await controller.status()).ports[0]?.port, first);
    await life.kill();
    await world.close();
  });
  it('fall back to every address where the published one is not this machine', async () => {
    const world = new ProcessWorld({ publishHost: '192.0.2.1' });
    const life = await world.open();
    const task = world.command('echo $HOST');
    const controller = life.runtime.controller(task);
    await controller.prepare(never);
    assert.equal((await controller.status()).ports[0]?.host, '192.0.2.1');
    await controller.start(never);
    await controller.wait(never);
    const output = readFileSync(join(world.stateDir, 'logs', task.id, 'out'), 'utf8');
    assert.equal(output, '0.0.0.0\n');
    await life.kill();
    await world.close();
  });
  it('are probed by listening', async () => {
    const { bindProbe } = await import('./ports.ts');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address() as { port: number };
    assert.equal(await bindProbe(0, '127.0.0.1', address.port), 'EADDRINUSE');
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await bindProbe(0, '127.0.0.1', address.port), '');
  });
});

describe('users of process tasks', () => {
  it('a root daemon refuses a task without one', { skip: !isRoot && 'needs root' }, async () => {
    const world = new ProcessWorld();
    const life = await world.open();
    const controller = life.runtime.controller(world.command('true', {}, { user: '' }));
    await assert.rejects(controller.prepare(never), { code: 'NOT_ALLOWED', message: /--user/ });
    await life.kill();
    await world.close();
  });
  it('a root daemon refuses every task without --allow-process', {
    skip: !isRoot && 'needs root',
  }, async () => {
    const world = new ProcessWorld({ allowProcess: false });
    const life = await world.open();
    const controller = life.runtime.controller(world.task('run'));
    await assert.rejects(controller.prepare(never), { message: /--allow-process/ });
    await life.kill();
    await world.close();
  });
  it('a root daemon runs a task as its user', { skip: !isRoot && 'needs root' }, async () => {
    const world = new ProcessWorld();
    const life = await world.open();
    const process = { command: ['/bin/sh', '-c', 'id -un; id -G'], user: 'nobody' };
    const task = world.command('', { spec: { process } });
    const controller = life.runtime.controller(task);
    await controller.prepare(never);
    await controller.start(never);
    await controller.wait(never);
    const output = readFileSync(join(world.stateDir, 'logs', task.id, 'out'), 'utf8');
    assert.match(output, /^nobody\n\d+\n$/);
    await life.kill();
    await world.close();
  });
  it('an ordinary daemon refuses another user', {
    skip: isRoot && 'needs an ordinary user',
  }, async () => {
    const world = new ProcessWorld();
    const life = await world.open();
    const controller = life.runtime.controller(world.command('true', {}, { user: 'root' }));
    await assert.rejects(controller.prepare(never), { code: 'NOT_ALLOWED' });
    await life.kill();
    await world.close();
  });
  it('an unknown one is named', async () => {
    const world = new ProcessWorld();
    const life = await world.open();
    const controller = life.runtime.controller(world.command('true', {}, { user: 'nemo' }));
    await assert.rejects(controller.prepare(never), { code: 'USER_UNKNOWN', message: /nemo/ });
    await life.kill();
    await world.close();
  });
});

describe('limits of process tasks', () => {
  it('memory: the kernel kills what uses more, and it is told so', async (t) => {
    const world = new ProcessWorld();
    const life = await world.open();
    const { features } = await life.runtime.probe();
    if (features['limits'] === 'none') {
      t.skip('needs writable control groups');
    } else {
      const script = 'let a=[]; for(;;) a.push(Buffer.alloc(1<<20, 1))';
      const command = [process.execPath, '-e', script];
      const spec = {
        process: { command, user: isRoot ? '0' : '' },
        limits: { memoryBytes: 96 << 20 },
      };
      const controller = life.runtime.controller(world.command('', { spec }));
      await controller.prepare(never);
      await controller.start(never);
      const exit = await controller.wait(never);
      assert.deepEqual([exit.oom, exit.signal], [true, 'SIGKILL']);
      await controller.remove();
    }
    await life.kill();
    await world.close();
  });
});
