import type { Io } from '../io.ts';
import { isSame, startTimeOf } from './identity.ts';

/** Marks of what this node started, in the environment that it was started with. */
export const TASK_MARK = 'SWARM_TASK_ID';
export const EXEC_MARK = 'SWARM_EXEC_ID';
export type Mark = typeof TASK_MARK | typeof EXEC_MARK;

/**
 * Without a pid namespace a child that began its own session escapes the group: what carries a mark
 * in its first environment is killed. Calls that come together share one look at /proc.
 */
export class Sweeper {
  readonly #io: Io;
  #waiting: { readonly mark: Mark; readonly has: Has; readonly done: () => void }[] = [];

  constructor(io: Io) {
    this.#io = io;
  }
  /** Kills what has this value of a mark. */
  sweep(mark: Mark, value: string): Promise<void> {
    return this.sweepWhere(mark, (found) => found === value);
  }
  sweepWhere(mark: Mark, has: Has): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ mark, has, done: resolve });
      if (this.#waiting.length === 1) setImmediate(() => this.#run());
    });
  }
  #run(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const isMeant = (environment: readonly string[]): boolean =>
      waiting.some(({ mark, has }) => {
        const entry = environment.find((field) => field.startsWith(`${mark}=`));
        return entry !== undefined && has(entry.slice(mark.length + 1));
      });
    // What forks while it is being killed is found in the next look.
    for (let look = 0; look < LOOKS_MAX && this.#killAll(isMeant) > 0; look++);
    for (const { done } of waiting) done();
  }
  #killAll(isMeant: (environment: readonly string[]) => boolean): number {
    let killed = 0;
    for (const name of this.#io.list('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const pid = Number(name);
      const start = startTimeOf(this.#io, pid);
      if (start === undefined || !isMeant(environmentOf(this.#io, pid))) continue;
      if (isSame(this.#io, { pid, start }) && this.#io.kill(pid, 'SIGKILL')) killed++;
    }
    return killed;
  }
}

type Has = (value: string) => boolean;
const LOOKS_MAX = 10;

function environmentOf(io: Io, pid: number): readonly string[] {
  try {
    return io.read(`/proc/${pid}/environ`)?.toString('utf8').split('\0') ?? [];
  } catch {
    // Another user's process: not one of ours.
    return [];
  }
}
