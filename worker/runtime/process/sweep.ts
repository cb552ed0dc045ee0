import { type Clock, delay } from '../../../shared/clock.ts';
import type { Io } from '../../io.ts';
import { isKernelThread, isSame, startTimeIn } from './identity.ts';

/** Marks of what this node started, in the environment that it was started with. */
export const TASK_MARK = 'SWARM_TASK_ID';
export const EXEC_MARK = 'SWARM_EXEC_ID';
export type Mark = typeof TASK_MARK | typeof EXEC_MARK;

/**
 * Without a pid namespace a child that began its own session escapes the group: what carries a mark
 * in its first environment is killed. Calls that come together share one look at /proc.
 */
export class Sweeper {
  readonly #io: Pick<Io, 'list' | 'read' | 'kill'>;
  readonly #clock: Clock;
  /** Who has no environment for good, as `Look.unread` says it. */
  #bare: ReadonlySet<string> = new Set();
  #waiting: { readonly mark: Mark; readonly has: Has; readonly done: () => void }[] = [];

  constructor(io: Pick<Io, 'list' | 'read' | 'kill'>, clock: Clock) {
    this.#io = io;
    this.#clock = clock;
  }
  /** Kills what has this value of a mark. */
  sweep(mark: Mark, value: string): Promise<void> {
    return this.sweepWhere(mark, (found) => found === value);
  }
  sweepWhere(mark: Mark, has: Has): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ mark, has, done: resolve });
      if (this.#waiting.length === 1) setImmediate(() => void this.#run());
    });
  }
  async #run(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const isMeant = (environment: readonly string[]): boolean =>
      waiting.some(({ mark, has }) => {
        const entry = environment.find((field) => field.startsWith(`${mark}=`));
        return entry !== undefined && has(entry.slice(mark.length + 1));
      });
    await this.#sweep(isMeant);
    for (const { done } of waiting) done();
  }
  /** Until a look finds nothing to kill, and nobody whose environment is not there yet. */
  async #sweep(isMeant: IsMeant): Promise<void> {
    let restMs = UNREAD_MS_MIN;
    for (let look = 0; look < LOOKS_MAX; look++) {
      const { killed, unread } = this.#killAll(isMeant);
      // What forks while it is being killed is found in the next look.
      if (killed > 0) continue;
      if (unread.every((id) => this.#bare.has(id))) return;
      if (restMs > UNREAD_MS_MAX) {
        this.#bare = new Set(unread);
        return;
      }
      await delay(this.#clock, restMs);
      restMs *= 2;
    }
  }
  #killAll(isMeant: IsMeant): Look {
    let killed = 0;
    const unread: string[] = [];
    for (const name of this.#io.list('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const pid = Number(name);
      const stat = this.#io.read(`/proc/${pid}/stat`)?.toString('utf8') ?? '';
      const start = startTimeIn(stat);
      if (start === undefined || isKernelThread(stat)) continue;
      const environment = environmentOf(this.#io, pid);
      if (environment?.length === 0) unread.push(`${pid} ${start}`);
      if (environment === undefined || !isMeant(environment)) continue;
      if (isSame(this.#io, { pid, start }) && this.#io.kill(pid, 'SIGKILL')) killed++;
    }
    return { killed, unread };
  }
}

interface Look {
  readonly killed: number;
  /** Who had no environment: a process that becomes another program has none until it has. */
  readonly unread: readonly string[];
}

type Has = (value: string) => boolean;
type IsMeant = (environment: readonly string[]) => boolean;
const LOOKS_MAX = 20;
/** How long one look waits for environments, and each further one twice as long. */
const UNREAD_MS_MIN = 5;
const UNREAD_MS_MAX = 200;

/** Undefined: another user's process, so none of ours. Empty: it has none, or not yet. */
function environmentOf(io: Pick<Io, 'read'>, pid: number): readonly string[] | undefined {
  try {
    const text = io.read(`/proc/${pid}/environ`)?.toString('utf8');
    return text?.split('\0').filter((field) => field !== '');
  } catch {
    return undefined;
  }
}
