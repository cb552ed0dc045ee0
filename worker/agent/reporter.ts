import {
  type ListenFailure,
  type NodeDescription,
  type NodeVolume,
  StatusReport,
  type TaskReport,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';

/** States that only people look at are gathered this long. */
const LEISURE_MS = 100;
/** Reports follow each other no faster than this. */
const SPACING_MS = 10;

export interface NumberedReport {
  readonly report: TaskReport;
  readonly sequence: number;
}

export interface ReporterDeps {
  readonly clock: Clock;
  /** Present status of a task and its number; undefined: there is none any more. */
  readonly statusOf: (taskId: string) => NumberedReport | undefined;
}

/**
 * Numbers every change of a status and sends them in batches. The numbers live in the tasks' own
 * records, so what was never committed is known after a restart; nothing else is kept on disk.
 */
export class Reporter {
  readonly #deps: ReporterDeps;
  readonly #dirty = new Set<string>();
  #send: ((report: StatusReport) => void) | undefined;
  #sequence = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #failures: readonly ListenFailure[] = [];
  #failuresDirty = false;
  #description: NodeDescription | undefined;
  #volumes: readonly NodeVolume[] | undefined;
  #committed = 0;
  #waiting: { readonly sequence: number; readonly resolve: () => void }[] = [];

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }
  /** The highest number that was ever used. */
  get sequence(): number {
    return this.#sequence;
  }
  /** The number of the report that will tell of `listenFailures`; 0: it has gone out. */
  get failuresReport(): number {
    return this.#failuresDirty ? this.#sequence : 0;
  }
  get listenFailures(): readonly ListenFailure[] {
    return this.#failures;
  }
  /** Numbers of an earlier daemon are never used again. */
  resumeAfter(sequence: number): void {
    this.#sequence = Math.max(this.#sequence, sequence);
  }
  /** The number for a status that is just being written down. */
  next(): number {
    this.#sequence++;
    return this.#sequence;
  }
  /** `urgent`: others wait for it. */
  changed(taskId: string, urgent: boolean): void {
    this.#dirty.add(taskId);
    this.#schedule(urgent);
  }
  setListenFailures(failures: readonly ListenFailure[]): void {
    if (JSON.stringify(failures) === JSON.stringify(this.#failures)) return;
    this.#failures = failures;
    this.#failuresDirty = true;
    this.next();
    this.#schedule(true);
  }
  describe(description: NodeDescription): void {
    this.#description = description;
    this.next();
    this.#schedule(true);
  }
  /** All named volumes of this node. */
  setVolumes(volumes: readonly NodeVolume[]): void {
    this.#volumes = volumes;
    this.next();
    this.#schedule(true);
  }
  /** Everything at or below this number is safe with the managers. */
  committed(sequence: number): void {
    this.#committed = Math.max(this.#committed, sequence);
    const done = this.#waiting.filter((each) => each.sequence <= sequence);
    this.#waiting = this.#waiting.filter((each) => each.sequence > sequence);
    for (const { resolve } of done) resolve();
  }
  /** Resolves when what there is to tell now is committed, or the session is over. */
  told(): Promise<void> {
    if (!this.#send || this.#committed >= this.#sequence) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ sequence: this.#sequence, resolve });
    });
  }
  /** A session is up: `uncommitted` is told again under its own numbers. */
  connect(send: (report: StatusReport) => void, uncommitted: readonly string[]): void {
    this.#send = send;
    this.#dirty.clear();
    for (const id of uncommitted) this.#dirty.add(id);
    this.#schedule(true);
  }
  disconnect(): void {
    this.#send = undefined;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }
  #schedule(urgent: boolean): void {
    if (!this.#send) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const dueMs = Math.max(nowMs + (urgent ? 0 : LEISURE_MS), this.#lastMs + SPACING_MS);
    if (this.#timer && this.#timer.dueMs <= dueMs) return;
    this.#timer?.timer.cancel();
    const timer = this.#deps.clock.setTimer(dueMs - nowMs, () => this.#flush());
    this.#timer = { timer, dueMs };
  }
  #flush(): void {
    this.#timer = undefined;
    this.#lastMs = this.#deps.clock.monotonicMs();
    const reports = [...this.#dirty]
      .map((id) => this.#deps.statusOf(id))
      .filter((report) => report !== undefined)
      .sort((a, b) => a.sequence - b.sequence);
    this.#dirty.clear();
    const max = LIMITS.reportTasksMax;
    while (reports.length > max) this.#sendBatch(reports.splice(0, max), false);
    this.#sendBatch(reports, true);
  }
  /** In the order of numbers: a committed number stands for everything at or below it. */
  #sendBatch(reports: readonly NumberedReport[], last: boolean): void {
    const withFailures = last && this.#failuresDirty;
    const description = last ? this.#description : undefined;
    const volumes = last ? this.#volumes : undefined;
    if (reports.length === 0 && !withFailures && !description && !volumes) return;
    this.#send?.(
      StatusReport.create({
        sequence: last ? this.#sequence : (reports.at(-1)?.sequence ?? 0),
        tasks: reports.map(({ report }) => report),
        hasListenFailures: withFailures,
        listenFailures: withFailures ? this.#failures : [],
        description: description ?? null,
        hasVolumes: volumes !== undefined,
        volumes: volumes ?? [],
      }),
    );
    if (withFailures) this.#failuresDirty = false;
    if (!last) return;
    this.#description = undefined;
    this.#volumes = undefined;
  }
}
