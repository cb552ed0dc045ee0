import type { ServiceProgress, TaskProgress } from '../../proto/index.ts';
import { TaskState } from '../../proto/index.ts';
import { printable } from './printable.ts';
import { quantity } from './quantity.ts';
import { truncate } from './table.ts';
import { wordOf } from './words.ts';

/** More tasks than this are shown as one line. */
const LINES_MAX = 20;
const BAR = 20;

/** What a task's line says. */
function taskLine(task: TaskProgress, total: number): string {
  const name = task.slot > 0 ? `${task.slot}/${total}` : task.nodeName || task.id.slice(0, 12);
  const state = wordOf(TaskState, task.state);
  // What it says of a task that runs ("started") is no news.
  const isSaid = task.message === '' || task.message === state || isUp(task);
  const note = isSaid ? '' : `  ${printable(task.message)}`;
  const place = task.nodeName === '' ? '' : ` on ${printable(task.nodeName)}`;
  return `${name}: ${state}${task.slot > 0 ? place : ''}${note}`;
}

/** The newest task of each slot that belongs to the wished revision, oldest slots first. */
function current(progress: ServiceProgress): readonly TaskProgress[] {
  const bySlot = new Map<string, TaskProgress>();
  for (const task of progress.tasks) {
    const key = task.slot > 0 ? String(task.slot) : task.nodeId || task.id;
    const seen = bySlot.get(key);
    if (seen === undefined || task.wishedRevision || !seen.wishedRevision) bySlot.set(key, task);
  }
  return [...bySlot.values()].sort((a, b) => a.slot - b.slot || (a.nodeName < b.nodeName ? -1 : 1));
}

function isUp(task: TaskProgress): boolean {
  return (
    task.wishedRevision && (task.state === TaskState.RUNNING || task.state === TaskState.COMPLETE)
  );
}

/** The message is often what the line of a task says already. */
function isNews({ message }: ServiceProgress, shown: readonly TaskProgress[]): boolean {
  if (message === '') return false;
  return shown.length > LINES_MAX || shown.every((task) => task.message !== message);
}

function isRemoval(progress: ServiceProgress): boolean {
  return progress.removed || progress.service?.service?.removing === true;
}

function summary(progress: ServiceProgress, name: string): string {
  const wanted = progress.service?.desired ?? 0;
  if (progress.removed) return `removed ${name}`;
  if (isRemoval(progress))
    return `removing ${name}: ${quantity(progress.tasks.length, 'task')} left`;
  const up = current(progress).filter(isUp).length;
  return `overall progress: ${up} out of ${wanted} tasks`;
}

const VERIFYING = 'verify: waiting to see that its tasks stay up';

/** What came up meanwhile: a port that is taken, a limit that a node cannot set. */
function warningsOf(progress: ServiceProgress, told: readonly string[]): readonly string[] {
  return (progress.service?.warnings ?? []).filter((warning) => !told.includes(warning));
}

/** The whole picture, for a terminal that can be written over. */
function progressLines(
  progress: ServiceProgress,
  name: string,
  columns: number,
  warnings: readonly string[],
): readonly string[] {
  const lines = [summary(progress, name)];
  const tasks = current(progress);
  const total = progress.service?.desired ?? tasks.length;
  if (tasks.length <= LINES_MAX && !isRemoval(progress)) {
    for (const task of tasks) lines.push(`${taskLine(task, total).padEnd(28)} ${bar(task)}`);
  }
  for (const warning of warnings) lines.push(printable(warning));
  if (isNews(progress, tasks)) lines.push(printable(progress.message));
  if (progress.settleLeftMs > 0) lines.push(VERIFYING);
  return lines.map((line) => truncate(line.trimEnd(), Math.max(20, columns - 1)));
}

const STEPS: readonly TaskState[] = [
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.ACCEPTED,
  TaskState.PREPARING,
  TaskState.READY,
  TaskState.STARTING,
  TaskState.RUNNING,
];

function bar(task: TaskProgress): string {
  if (!task.wishedRevision) return 'to be replaced';
  if (task.state > TaskState.RUNNING) return '';
  const done = STEPS.filter((step) => task.state >= step).length;
  const filled = Math.round((done / STEPS.length) * BAR);
  return `[${'='.repeat(filled).padEnd(BAR)}]`;
}

/**
 * Shows progress: over itself on a terminal, a line for each change elsewhere. Nothing is printed
 * twice, so a log stays readable.
 */
export class ProgressView {
  readonly #write: (text: string) => void;
  readonly #columns: number | undefined;
  readonly #name: string;
  readonly #told: readonly string[];
  /** What is to be warned of as of the last progress. */
  warnings: readonly string[] = [];
  #drawn = 0;
  readonly #said = new Map<string, string>();

  /**
   * `columns`: of the terminal, undefined where there is none. `name`: of the service, as its user
   * wrote it. `told`: warnings said already.
   */
  constructor(
    write: (text: string) => void,
    columns: number | undefined,
    { name, told }: { readonly name: string; readonly told: readonly string[] },
  ) {
    this.#write = write;
    this.#columns = columns;
    this.#name = printable(name);
    this.#told = told;
  }
  show(progress: ServiceProgress): void {
    this.warnings = warningsOf(progress, this.#told);
    if (this.#columns !== undefined)
      this.#redraw(progressLines(progress, this.#name, this.#columns, this.warnings));
    else this.#sayChanges(progress);
  }
  #redraw(lines: readonly string[]): void {
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : '';
    this.#write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
  }
  #sayChanges(progress: ServiceProgress): void {
    const tasks = current(progress);
    const total = progress.service?.desired ?? tasks.length;
    if (tasks.length <= LINES_MAX && !isRemoval(progress))
      for (const task of tasks.filter((candidate) => candidate.wishedRevision))
        this.#say(task.slot > 0 ? `${task.slot}` : task.nodeId, taskLine(task, total));
    for (const warning of this.warnings) this.#say(`warning ${warning}`, printable(warning));
    if (isNews(progress, tasks)) this.#say('message', printable(progress.message));
    this.#say('summary', summary(progress, this.#name));
    if (progress.settleLeftMs > 0) this.#say('verify', VERIFYING);
  }
  #say(key: string, line: string): void {
    if (this.#said.get(key) === line) return;
    this.#said.set(key, line);
    this.#write(`${line}\n`);
  }
}
