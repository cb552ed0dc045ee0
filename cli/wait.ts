import {
  ControlService,
  type ServiceProgress,
  type ServiceView,
  WatchServiceRequest,
  WhyRequest,
} from '../proto/index.ts';
import { type Clock, delay } from '../shared/clock.ts';
import { SwarmError } from '../shared/errors.ts';
import { DEFAULTS } from '../shared/limits.ts';
import type { Context } from './context.ts';
import { ProgressView } from './output/progress.ts';
import { formatDurationMs } from './parse/duration.ts';
import type { Session } from './session.ts';

/** After this long without a node that listens, the ports count as taken. */
const LISTEN_MS = 3_000;

export interface WaitFor {
  readonly id: string;
  readonly name: string;
  /** Of the service row as this command left it. */
  readonly version: number;
  readonly removal: boolean;
  readonly quiet: boolean;
}

/** How a wait ended, as the exit code of the command. */
export const INTERRUPTED = 130;

/**
 * Shows progress until the service has converged. When it does not (paused, rolled back, no port, no
 * change for the progress deadline) it is NOT_CONVERGED with the first reason of `why`.
 */
export async function waitForService(context: Context, what: WaitFor): Promise<number> {
  const session = await context.connect();
  const { io } = context;
  const view = new ProgressView(
    what.quiet ? () => undefined : io.out,
    io.isTerminal ? io.columns : undefined,
  );
  const interrupted = io.onInterrupt();
  const end = new AbortController();
  interrupted.addEventListener('abort', () => end.abort());
  const judge = new Judge(io.clock, () => end.abort());
  for (;;) {
    const verdict = await watchOnce(session, what, view, judge, end.signal);
    judge.stop();
    if (interrupted.aborted) {
      io.err(goesOn(what));
      return INTERRUPTED;
    }
    if (verdict === 'converged') return 0;
    if (verdict === 'failed') throw await notConverged(session, what, judge);
    await delay(io.clock, 200);
  }
}

type Verdict = 'converged' | 'failed' | 'again';

/** One stream of progress; `again` when the daemon or its leader went away meanwhile. */
async function watchOnce(
  session: Session,
  what: WaitFor,
  view: ProgressView,
  judge: Judge,
  signal: AbortSignal,
): Promise<Verdict> {
  const { id, version, removal } = what;
  const request = WatchServiceRequest.create({ id, version, removal });
  try {
    for await (const progress of session.stream(ControlService.watchService, request, signal)) {
      view.show(progress);
      const verdict = judge.judge(progress, removal);
      if (verdict !== 'again') return verdict;
    }
  } catch (error) {
    if (judge.gaveUp || signal.aborted) return 'failed';
    if (removal && SwarmError.is(error) && error.code === 'NOT_FOUND') return 'converged';
    if (!SwarmError.is(error) || !RETRIED.has(error.code)) throw error;
  }
  return judge.gaveUp ? 'failed' : 'again';
}

const RETRIED = new Set(['UNREACHABLE', 'NOT_LEADER', 'NO_QUORUM', 'OVERLOADED', 'EXPIRED']);

/** Decides when waiting on is useless. */
class Judge {
  readonly #clock: Clock;
  readonly #giveUp: () => void;
  #timer: { cancel(): void } | undefined;
  #portTimer: { cancel(): void } | undefined;
  #picture = '';
  #last: ServiceProgress | undefined;
  gaveUp = false;
  reason = '';

  constructor(clock: Clock, giveUp: () => void) {
    this.#clock = clock;
    this.#giveUp = giveUp;
  }
  judge(progress: ServiceProgress, removal: boolean): Verdict {
    this.#last = progress;
    if (removal) return progress.removed ? 'converged' : this.#wait(progress);
    if (progress.removed) {
      this.reason = 'It was removed meanwhile.';
      return 'failed';
    }
    if (progress.failed) {
      this.reason = progress.message;
      return 'failed';
    }
    if (!progress.converged) return this.#wait(progress);
    if (progress.published || progress.listenFailures.length === 0) return 'converged';
    // Some nodes said that they cannot listen; others may still say that they do.
    this.#portTimer ??= this.#clock.setTimer(LISTEN_MS, () => {
      const reasons = this.#last?.listenFailures.map((f) => `port ${f.port}: ${f.reason}`) ?? [];
      this.#end(`No node listens on a published port:\n  ${reasons.join('\n  ')}`);
    });
    return 'again';
  }
  stop(): void {
    this.#timer?.cancel();
    this.#portTimer?.cancel();
    this.#timer = undefined;
    this.#portTimer = undefined;
  }
  #wait(progress: ServiceProgress): Verdict {
    const picture = JSON.stringify(progress.tasks.map((task) => [task.id, task.state]));
    if (picture !== this.#picture || this.#timer === undefined) {
      this.#picture = picture;
      this.#timer?.cancel();
      const limitMs = deadlineMs(progress.service);
      this.#timer = this.#clock.setTimer(limitMs, () =>
        this.#end(`Nothing changed for ${formatDurationMs(limitMs)}.`),
      );
    }
    return 'again';
  }
  #end(reason: string): void {
    this.reason = reason;
    this.gaveUp = true;
    this.#giveUp();
  }
}

function deadlineMs(view: ServiceView | null): number {
  return view?.service?.spec?.update?.progressDeadlineMs || DEFAULTS.updateProgressDeadlineMs;
}

async function notConverged(session: Session, what: WaitFor, judge: Judge): Promise<SwarmError> {
  const message = `Service ${what.name} has not converged.`;
  const lines = judge.reason === '' ? [message] : [message, judge.reason];
  let advice = '';
  let command = `swarm why ${what.name}`;
  try {
    const request = WhyRequest.create({ ref: what.id, kind: 'service' });
    const top = (await session.read(ControlService.why, request)).reasons[0];
    if (top !== undefined) {
      if (!judge.reason.includes(top.text)) lines.push(top.text);
      advice = top.advice;
      command = top.command || command;
    }
  } catch (error) {
    // The reason is an extra: without an answer the message says where to ask.
    if (!SwarmError.is(error)) throw error;
  }
  const options = advice === '' ? { command } : { advice, command };
  return new SwarmError('NOT_CONVERGED', lines.join('\n'), options);
}

function goesOn(what: WaitFor): string {
  const does = what.removal ? 'goes on being removed' : 'goes on';
  return `\nService ${what.name} ${does} in the background: swarm service ps ${what.name}\n`;
}
