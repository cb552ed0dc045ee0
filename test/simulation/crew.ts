import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Struck } from './schedule.ts';

/** One run of one seed. */
export interface Order {
  readonly seed: number;
  readonly events: number;
  /** Numbers of the faults that happen; absent: all that the seed draws. */
  readonly faults?: readonly number[];
  /** Name of what the run is tilted towards (see profiles.ts); absent: the seed's own mixture. */
  readonly profile?: string | undefined;
  /** Prints what is counted, as it happens. */
  readonly isTraced?: boolean;
}

export interface Report extends Order {
  readonly machines: number;
  readonly ran: number;
  readonly simulatedMs: number;
  readonly violations: readonly string[];
  readonly struck: readonly Struck[];
  readonly counts: Readonly<Record<string, number>>;
  /** Of the process that ran it. */
  readonly cpuMs: number;
}

/** Of a run, before everything heals. */
export const EVENTS_DEFAULT = 20_000;
/** A run takes a second or two of its core; one that takes this much turns without an end. */
const ENDLESS_CPU_MS = 120_000;
const LOOK_EVERY_MS = 5_000;
/** Of the times in `/proc`. */
const MS_A_TICK = 10;
const WORKER = fileURLToPath(import.meta.url).replace('crew', 'crew-worker');
/** Most of what is made is garbage at once: a larger nursery is collected less often. */
const EXEC_ARGV = ['--max-semi-space-size=32', '--stack-trace-limit=8'];

/** Processes that run seeds side by side: one run fills one core, and shares nothing with others. */
export class Crew {
  readonly #args: readonly string[];
  readonly #idle: ChildProcess[] = [];
  readonly #all = new Set<ChildProcess>();
  readonly size: number;

  /** `mutant`: the name of a bug that is planted into all runs, or all that goes with it but the bug. */
  constructor(
    size: number = availableParallelism(),
    mutant?: string,
    how: 'with it' | 'without it' = 'with it',
  ) {
    this.size = size;
    this.#args = mutant === undefined ? [] : [mutant, how];
  }

  /** Not more at once than `size`. */
  run(order: Order): Promise<Report> {
    const child = this.#idle.pop() ?? this.#hire();
    return new Promise((resolve) => {
      const done = (report: Report): void => {
        clearInterval(timer);
        child.off('message', done);
        child.off('exit', died);
        if (this.#all.has(child)) this.#idle.push(child);
        resolve(report);
      };
      const died = (): void => {
        this.#all.delete(child);
        done(withoutEnd(order, 'the process of this run died'));
      };
      const beforeMs = cpuMsOf(child);
      const timer = setInterval(() => {
        if (cpuMsOf(child) - beforeMs < ENDLESS_CPU_MS) return;
        child.off('exit', died);
        this.#all.delete(child);
        child.kill('SIGKILL');
        done(withoutEnd(order, 'this run does not come to an end'));
      }, LOOK_EVERY_MS);
      child.on('message', done);
      child.on('exit', died);
      child.send(order);
    });
  }

  /** Runs what `next` gives until it gives no more; `take` sees each report. */
  async runAll(next: () => Order | undefined, take: (report: Report) => void): Promise<void> {
    const work = async (): Promise<void> => {
      for (let order = next(); order !== undefined; order = next()) take(await this.run(order));
    };
    await Promise.all(Array.from({ length: this.size }, work));
  }

  close(): void {
    for (const child of this.#all) {
      child.removeAllListeners();
      child.kill();
    }
    this.#all.clear();
    this.#idle.length = 0;
  }

  #hire(): ChildProcess {
    const execArgv = [...process.execArgv.filter((arg) => !arg.startsWith('--test')), ...EXEC_ARGV];
    const child = fork(WORKER, this.#args, { execArgv, serialization: 'advanced' });
    this.#all.add(child);
    return child;
  }
}

/** What it used of its core so far: on a busy machine that is little of the time that went by. */
function cpuMsOf({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * MS_A_TICK;
  } catch {
    return 0;
  }
}

function withoutEnd(order: Order, why: string): Report {
  const nothing = { machines: 0, ran: 0, simulatedMs: 0, struck: [], counts: {}, cpuMs: 0 };
  return { ...order, ...nothing, violations: [why] };
}
