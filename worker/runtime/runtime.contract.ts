import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { type AssignedTask, ExecRequest, type Init } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import type { ExecSession, Exit, Runtime, TaskController } from '../runtime.ts';
import { METHOD_CALLS } from './method-calls.contract.ts';

/** A daemon's hold on the machine. `cutAt`: it is killed at that change of the machine. */
export interface Life {
  readonly runtime: Runtime;
  /** It was killed. */
  readonly dead: () => boolean;
  /** Where, for the message of a failing test. */
  readonly trace: () => string;
  /** As kill -9: what it started goes on. */
  kill(): Promise<void>;
}

/** One machine with a runtime under test. */
export interface RuntimeWorld {
  open(cutAt?: number): Promise<Life>;
  task(kind: TaskKind): AssignedTask;
  /** Resolves when the task has come to the point that its kind is about. */
  ready(task: AssignedTask): Promise<void>;
  /** Goes on until it is stopped. */
  isEndless(task: AssignedTask): boolean;
  /** How often the task's process was started. */
  starts(task: AssignedTask): number;
  /** Processes that belong to the task, its supervisor not counted. */
  processes(task: AssignedTask): number;
  /** As `kill -9 PID` by somebody else. */
  killTask(task: AssignedTask): Promise<void>;
  /** The words of a command for `exec`. */
  words(kind: CommandKind): readonly string[];
  /** What a task has written to its standard output; undefined: nothing is kept here. */
  written(task: AssignedTask): string | undefined;
  /** What is left of removed tasks: nothing. */
  leftovers(): readonly string[];
  close(): Promise<void>;
}

/**
 * run: goes on until it is stopped; without a handler. exit3: ends at once with 3. stubborn: ignores
 * the stop signal, grace 50 ms. escaping: has a child in a session of its own. hungry: half a second after
 * its start it takes more memory than it may. talk: writes 1, 2, 3 and so on, a line each.
 */
export type TaskKind = 'run' | 'exit3' | 'stubborn' | 'escaping' | 'hungry' | 'talk';

/**
 * both: "to-out" and "to-err", then code 7. cat: its input comes out. mark: the variable MARK. size:
 * rows and columns of its terminal, now and at each change. hang: "READY", then goes on for ever.
 * missing: there is no such command.
 */
export type CommandKind = 'both' | 'cat' | 'mark' | 'size' | 'hang' | 'missing';

const never = new AbortController().signal;
const BOUND = { timeout: 90_000 };

/** What holds for every runtime, the one in memory included. */
export function runtimeContract(name: string, make: () => Promise<RuntimeWorld>): void {
  describe(`contract of a runtime: ${name}`, () => {
    let world: RuntimeWorld;
    let life: Life;
    before(async () => {
      world = await make();
      life = await world.open();
    });
    after(async () => {
      await life.kill();
      await world.close();
    });

    async function started(kind: TaskKind): Promise<[AssignedTask, TaskController]> {
      const task = world.task(kind);
      const controller = life.runtime.controller(task);
      await controller.prepare(never);
      await controller.start(never);
      await world.ready(task);
      return [task, controller];
    }
    async function restart(): Promise<void> {
      await life.kill();
      life = await world.open();
    }

    it('tells how a task ended', async () => {
      const [, controller] = await started('exit3');
      const exit = await controller.wait(never);
      assert.deepEqual([exit.code, exit.signal, exit.oom, exit.lost], [3, '', false, false]);
      await controller.remove();
    });
    it('starts one process however often it is told to', async () => {
      const task = world.task('run');
      const controller = life.runtime.controller(task);
      await controller.prepare(never);
      await controller.prepare(never);
      await controller.start(never);
      await controller.start(never);
      await life.runtime.controller(task).start(never);
      await world.ready(task);
      assert.equal(world.starts(task), 1);
      assert.equal(world.processes(task), 1);
      await controller.shutdown(never);
      await controller.shutdown(never);
      await controller.terminate();
      assert.deepEqual(await controller.wait(never), await controller.wait(never));
      await controller.remove();
      await controller.remove();
      assert.equal(world.processes(task), 0);
    });
    it('does nothing more when a method is called again, whichever it is', BOUND, async () => {
      const task = world.task('run');
      for (const [method, call] of Object.entries(METHOD_CALLS)) {
        const first = await call(life.runtime.controller(task), world, task);
        const again = await call(life.runtime.controller(task), world, task);
        assert.deepEqual(again, first, method);
      }
      assert.deepEqual([world.starts(task), world.processes(task)], [1, 0]);
      assert.deepEqual(await life.runtime.list(), []);
      assert.deepEqual(world.leftovers(), []);
    });
    it('ends a task without a handler by its stop signal, within the grace', async () => {
      const [, controller] = await started('run');
      await controller.shutdown(never);
      assert.equal((await controller.wait(never)).signal, 'SIGTERM');
      await controller.remove();
    });
    it('kills a task that goes on after its grace', async () => {
      const [, controller] = await started('stubborn');
      await controller.shutdown(never);
      assert.equal((await controller.wait(never)).signal, 'SIGKILL');
      await controller.remove();
    });
    it('tells that somebody killed a task', async () => {
      const [task, controller] = await started('run');
      const exit = controller.wait(never);
      await world.killTask(task);
      assert.deepEqual([(await exit).signal, (await exit).lost], ['SIGKILL', false]);
      await controller.remove();
    });
    it('leaves no child behind that went into a session of its own', async () => {
      const [task, controller] = await started('escaping');
      // The child is not to be seen in the moment in which it becomes another program.
      await untilTrue(() => world.processes(task) === 2, 'the child');
      await controller.shutdown(never);
      assert.equal(world.processes(task), 0);
      await controller.remove();
    });
    it('never starts a task that was stopped before', async () => {
      const task = world.task('run');
      const controller = life.runtime.controller(task);
      await controller.prepare(never);
      await controller.shutdown(never);
      await assert.rejects(controller.start(never), { code: 'LOST' });
      assert.equal(world.starts(task), 0);
      await controller.remove();
    });
    it('does not remove a task that runs', async () => {
      const [, controller] = await started('run');
      await assert.rejects(controller.remove(), { code: 'NOT_ALLOWED' });
      await controller.terminate();
      await controller.remove();
    });
    it('ends a wait that its caller gave up', async () => {
      const [, controller] = await started('run');
      const abort = new AbortController();
      const waiting = controller.wait(abort.signal);
      abort.abort();
      await assert.rejects(waiting, { name: 'AbortError' });
      await controller.terminate();
      await controller.remove();
    });
    it('finds a running task again after the daemon was killed, with its exit code', async () => {
      const [task] = await started('run');
      await restart();
      const adopted = (await life.runtime.list()).find(({ taskId }) => taskId === task.id);
      assert.equal(adopted?.running, true);
      const controller = life.runtime.controller(task);
      const exit = controller.wait(never);
      await controller.shutdown(never);
      assert.equal((await exit).signal, 'SIGTERM');
      assert.equal(world.starts(task), 1);
      await controller.remove();
    });
    it('knows how a task ended while no daemon was there', async () => {
      const [task] = await started('run');
      await life.kill();
      await world.killTask(task);
      life = await world.open();
      const adopted = (await life.runtime.list()).find(({ taskId }) => taskId === task.id);
      assert.deepEqual([adopted?.running, adopted?.exit?.signal], [false, 'SIGKILL']);
      await life.runtime.controller(task).remove();
      assert.deepEqual(await life.runtime.list(), []);
    });
    it('tells that memory ran out, also where no daemon was there to see it', BOUND, async (t) => {
      const { features } = await life.runtime.probe();
      if (features['limits'] === 'none') return t.skip('limits of memory are not kept here');
      const [, seen] = await started('hungry');
      const exit = await seen.wait(never);
      assert.deepEqual([exit.code, exit.oom, exit.lost], [137, true, false], exit.message);
      await seen.remove();
      const [task] = await started('hungry');
      await life.kill();
      await untilTrue(() => world.processes(task) === 0, 'its end');
      life = await world.open();
      const again = life.runtime.controller(task);
      const told = await again.wait(never);
      assert.deepEqual([told.code, told.oom, told.lost], [137, true, false], told.message);
      await again.remove();
    });
    it('loses nothing that a task writes while daemons come and go', BOUND, async (t) => {
      const [task] = await started('talk');
      if (world.written(task) === undefined) {
        await life.runtime.controller(task).terminate();
        await life.runtime.controller(task).remove();
        return t.skip('nothing is kept here');
      }
      const numbers = (): readonly number[] =>
        (world.written(task) ?? '').match(/^\d+$/gm)?.map(Number) ?? [];
      const more = async (): Promise<void> => {
        const count = numbers().length;
        await untilTrue(() => numbers().length > count + 5, 'more lines');
      };
      for (let times = 0; times < 2; times++) {
        await more();
        await life.kill();
        await more();
        life = await world.open();
      }
      const controller = life.runtime.controller(task);
      await more();
      await controller.terminate();
      const all = numbers();
      assert.deepEqual(
        all,
        all.map((_number, at) => at + 1),
      );
      await controller.remove();
    });
    it('leaves nothing behind of removed tasks', () => {
      assert.deepEqual(world.leftovers(), []);
    });
    async function exec(
      controller: TaskController,
      kind: CommandKind,
      init: Init<ExecRequest> = {},
    ): Promise<ExecSession> {
      return controller.exec(ExecRequest.create({ command: world.words(kind), ...init }));
    }
    it(
      'runs commands in a task, with their outputs apart, their codes and their variables',
      BOUND,
      async () => {
        const [, controller] = await started('run');
        const both = await exec(controller, 'both');
        const texts = await Promise.all([text(both.stdout!), text(both.stderr!), both.exit]);
        assert.deepEqual(texts, ['to-out\n', 'to-err\n', 7]);
        await both.close();
        const mark = await exec(controller, 'mark', { env: ['MARK=of a command'] });
        assert.equal(await text(mark.stdout!), 'of a command\n');
        await mark.close();
        await assert.rejects(exec(controller, 'missing'), { code: 'COMMAND_NOT_FOUND' });
        await controller.terminate();
        await controller.remove();
      },
    );
    it('gives a command its input, to the end of it', BOUND, async () => {
      const [, controller] = await started('run');
      const cat = await exec(controller, 'cat', { input: true });
      const bytes = Buffer.alloc(300_000, 'x');
      cat.stdin!.end(bytes);
      const back = await text(cat.stdout!);
      assert.deepEqual([back.length, await cat.exit], [bytes.length, 0]);
      await cat.close();
      await controller.terminate();
      await controller.remove();
    });
    it('gives a command a terminal that has a size and gets another one', BOUND, async () => {
      const [, controller] = await started('run');
      const terminal = { columns: 100, rows: 40 };
      const size = await exec(controller, 'size', { terminal, input: true });
      assert.equal(size.stderr, undefined);
      await untilText(size.stdout!, '40 100\r\n');
      size.resize({ columns: 120, rows: 50 });
      await untilText(size.stdout!, '50 120\r\n');
      await size.close();
      assert.notEqual(await size.exit, 0);
      await controller.terminate();
      await controller.remove();
    });
    it('ends a command whose caller is gone, and leaves the task alone', BOUND, async () => {
      const [task, controller] = await started('run');
      for (const terminal of [null, { columns: 80, rows: 25 }]) {
        const hang = await exec(controller, 'hang', { terminal, input: true });
        await untilText(hang.stdout!, 'READY');
        await hang.close();
        assert.notEqual(await hang.exit, 0);
      }
      assert.equal(world.processes(task), 1);
      await controller.terminate();
      await controller.remove();
    });
    it('ends commands of a daemon that was killed', BOUND, async () => {
      const [task, controller] = await started('run');
      const hang = await exec(controller, 'hang');
      await untilText(hang.stdout!, 'READY');
      await restart();
      assert.equal(world.processes(task), 1);
      const again = life.runtime.controller(task);
      await again.terminate();
      await again.remove();
    });
    it('ends health commands of a daemon that was killed', BOUND, async (t) => {
      const [task, controller] = await started('run');
      // Its end is nobody's any more.
      void controller.probeCommand(world.words('hang'), 3_600_000).catch(() => undefined);
      const hangs = () => world.processes(task) > 1;
      if (world.written(task) !== undefined) await untilTrue(hangs, 'the health command');
      else t.diagnostic('nothing is run here');
      await restart();
      assert.equal(world.processes(task), 1);
      const again = life.runtime.controller(task);
      await again.terminate();
      await again.remove();
    });
    it('runs no command in a task that has ended', BOUND, async () => {
      const [task, controller] = await started('exit3');
      await controller.wait(never);
      await assert.rejects(exec(controller, 'both'), { code: 'NOT_RUNNING' });
      assert.deepEqual(await life.runtime.usage([task]), []);
      await controller.remove();
    });
    it('tells what a running task uses', BOUND, async () => {
      const [task, controller] = await started('run');
      const [usage] = await life.runtime.usage([task]);
      assert.equal(usage?.taskId, task.id);
      assert.ok(usage.processes >= 1, JSON.stringify(usage));
      await controller.terminate();
      await controller.remove();
    });
    it('leaves nothing behind of tasks that were looked into', () => {
      assert.deepEqual(world.leftovers(), []);
    });
    for (const kind of ['exit3', 'run'] as const) {
      it(`is repaired wherever the daemon is killed in the life of a task: ${kind}`, async () => {
        for (let cutAt = 1; ; cutAt++) {
          const uncut = await cutLife(world, kind, cutAt);
          if (uncut) break;
          assert.ok(cutAt < 500, 'no life passes uncut');
        }
        assert.deepEqual(world.leftovers(), []);
      });
    }
  });
}

/** Reads until this has come; the rest stays where it is. */
async function untilText(output: Readable, wanted: string): Promise<void> {
  let text = '';
  while (!text.includes(wanted)) {
    const chunk: Buffer | null = output.read();
    if (chunk !== null) text += chunk;
    else if (output.readableEnded) throw new Error(`ended with ${JSON.stringify(text)}`);
    else await soon(Promise.race([once(output, 'readable'), once(output, 'end')]), wanted, text);
  }
}

async function untilTrue(holds: () => boolean, wanted: string): Promise<void> {
  const endMs = clock.monotonicMs() + SOON_MS;
  while (!holds()) {
    if (clock.monotonicMs() > endMs) throw new Error(`${wanted} never came`);
    await new Promise<void>((resolve) => clock.setTimer(5, resolve));
  }
}

/** Nothing in here takes long: what does not come in this time is lost. */
const SOON_MS = 20_000;
const clock = new SystemClock();

function soon<T>(waited: Promise<T>, wanted: string, text = ''): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(SOON_MS, () =>
      reject(new Error(`${JSON.stringify(wanted)} never came, only ${JSON.stringify(text)}`)),
    );
    waited.then(resolve, reject).finally(() => timer.cancel());
  });
}

/** One life with a cut, then a second daemon that repeats what was not written down as done. */
async function cutLife(world: RuntimeWorld, kind: TaskKind, cutAt: number): Promise<boolean> {
  const task = world.task(kind);
  const progress: Progress = { exit: undefined };
  const first = await world.open(cutAt).catch(() => undefined);
  if (first) {
    await live(world, first.runtime, task, progress).catch((error) => {
      assert.equal(first.dead(), true, `${first.trace()}: ${error?.stack}`);
    });
  }
  const uncut = first !== undefined && !first.dead();
  await first?.kill();
  const second = await world.open();
  try {
    if (!uncut) await live(world, second.runtime, task, progress);
    const where = first?.trace() ?? `step ${cutAt} of open`;
    assert.equal(world.starts(task), 1, `one process, cut at ${where}`);
    assert.equal(world.processes(task), 0, `none left, cut at ${where}`);
    const { code, lost } = progress.exit!;
    assert.deepEqual([code, lost], [kind === 'exit3' ? 3 : 143, false], `exit, cut at ${where}`);
    assert.deepEqual(await second.runtime.list(), [], `no record, cut at ${where}`);
  } finally {
    await second.kill();
  }
  return uncut;
}

/** What an agent writes down. */
interface Progress {
  exit: Exit | undefined;
}

async function live(
  world: RuntimeWorld,
  runtime: Runtime,
  task: AssignedTask,
  progress: Progress,
): Promise<void> {
  const controller = runtime.controller(task);
  if (!progress.exit) {
    await controller.prepare(never);
    await controller.start(never);
    await world.ready(task);
    if (world.isEndless(task)) await controller.shutdown(never);
    progress.exit = await controller.wait(never);
  }
  await controller.remove();
}
