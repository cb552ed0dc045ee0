import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { Sweeper, TASK_MARK } from './sweep.ts';

const MARKED = `PATH=/bin\0${TASK_MARK}=t1\0`;
const USER = 0;
const KERNEL = 0x0020_8040;

test('what carries the mark is killed, and nothing else', async () => {
  const machine = new Machine();
  machine.start(10, MARKED).start(11, `${TASK_MARK}=t2\0`).start(12, 'HOME=/\0');
  await machine.sweep('t1');
  assert.deepEqual(machine.killed, [10]);
});

test('a process that becomes another program at that moment is waited for', async () => {
  const machine = new Machine();
  machine.start(10, MARKED).whenKilled(10, () => machine.start(12, ''));
  machine.beforeLook(4, () => machine.start(12, MARKED));
  await machine.sweep('t1');
  assert.deepEqual(machine.killed, [10, 12]);
});

test('programs without an environment hold up one sweep, threads of the kernel none', async () => {
  const machine = new Machine();
  machine.start(2, '', KERNEL);
  await machine.sweep('t1');
  assert.equal(machine.looks, 1);
  machine.start(10, '');
  await machine.sweep('t1');
  const looks = machine.looks;
  assert.ok(looks > 2);
  await machine.sweep('t1');
  assert.deepEqual([machine.killed, machine.looks], [[], looks + 1]);
});

/** Its processes are what stands in /proc. */
class Machine {
  readonly killed: number[] = [];
  looks = 0;
  readonly #processes = new Map<number, { readonly environ: string; readonly flags: number }>();
  readonly #whenKilled = new Map<number, () => void>();
  #before: { readonly looks: number; readonly fn: () => void } | undefined;

  readonly clock = new ManualClock();
  readonly sweeper = new Sweeper(
    {
      list: () => {
        if (this.#before?.looks === this.looks++) this.#before.fn();
        return ['self', ...[...this.#processes.keys()].map(String)];
      },
      read: (path: string) => {
        const [, , pid, file] = path.split('/');
        const found = this.#processes.get(Number(pid));
        if (found === undefined) return undefined;
        const rest = Array.from({ length: 20 }, (_, at) => (at === 18 ? '777' : '0'));
        const stat = `${pid} (a (b) c) S 1 1 1 0 -1 ${found.flags} ${rest.slice(7).join(' ')}`;
        return Buffer.from(file === 'stat' ? stat : found.environ);
      },
      kill: (pid: number) => {
        this.killed.push(pid);
        this.#processes.delete(pid);
        this.#whenKilled.get(pid)?.();
        return true;
      },
    },
    this.clock,
  );

  start(pid: number, environ: string, flags = USER): this {
    this.#processes.set(pid, { environ, flags });
    return this;
  }
  whenKilled(pid: number, fn: () => void): void {
    this.#whenKilled.set(pid, fn);
  }
  /** With this number, from 0. */
  beforeLook(looks: number, fn: () => void): void {
    this.#before = { looks, fn };
  }
  /** Whatever is waited for comes at once. */
  async sweep(taskId: string): Promise<void> {
    let done = false;
    const swept = this.sweeper.sweep(TASK_MARK, taskId).then(() => {
      done = true;
    });
    while (!done) {
      this.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await swept;
  }
}
