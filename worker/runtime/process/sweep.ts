import type { Io } from '../io.ts';
import { isSame, startTimeOf } from './identity.ts';

/**
 * Without a pid namespace a child that began its own session escapes the group: what carries the
 * task's id in its first environment is killed. Calls that come together share one look at /proc.
 */
export class Sweeper {
  readonly #io: Io;
  #waiting: { id: string; done: () => void }[] = [];

  constructor(io: Io) {
    this.#io = io;
  }
  sweep(taskId: string): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ id: taskId, done: resolve });
      if (this.#waiting.length === 1) setImmediate(() => this.#run());
    });
  }
  #run(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const ids = new Set(waiting.map(({ id }) => id));
    // What forks while it is being killed is found in the next look.
    for (let look = 0; look < LOOKS_MAX && this.#killAll(ids) > 0; look++);
    for (const { done } of waiting) done();
  }
  #killAll(ids: ReadonlySet<string>): number {
    let killed = 0;
    for (const name of this.#io.list('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const pid = Number(name);
      const start = startTimeOf(this.#io, pid);
      const id = start === undefined ? undefined : taskIdOf(this.#io, pid);
      if (id === undefined || !ids.has(id)) continue;
      if (isSame(this.#io, { pid, start: start! }) && this.#io.kill(pid, 'SIGKILL')) killed++;
    }
    return killed;
  }
}

const LOOKS_MAX = 10;

function taskIdOf(io: Io, pid: number): string | undefined {
  let text: string | undefined;
  try {
    text = io.read(`/proc/${pid}/environ`)?.toString('utf8');
  } catch {
    // Another user's process: not one of ours.
    return undefined;
  }
  const entry = text?.split('\0').find((field) => field.startsWith('SWARM_TASK_ID='));
  return entry?.slice('SWARM_TASK_ID='.length);
}
