import { ControlService, WatchServiceRequest, WhyRequest } from '../proto/index.ts';
import { delay } from '../shared/clock.ts';
import { SwarmError } from '../shared/errors.ts';
import type { Context } from './context.ts';
import { Judge, type Verdict } from './convergence.ts';
import { ProgressView } from './output/progress.ts';
import { warn } from './output/warning.ts';
import type { Session } from './session.ts';

export interface WaitFor {
  readonly id: string;
  readonly name: string;
  /** Of the service row as this command left it. */
  readonly version: number;
  readonly removal: boolean;
  /** How long tasks without a check of their own have to stay up. */
  readonly settleMs: number;
  /** Warnings that were printed with the change itself. */
  readonly told: readonly string[];
  readonly quiet: boolean;
}

/** How a wait ended, as the exit code of the command. */
export const INTERRUPTED = 130;

/**
 * Shows progress until the service has converged. When it does not (paused, rolled back, no port, one
 * task failing again and again, no task more for the progress deadline) it is NOT_CONVERGED with the
 * first reason of `why`.
 */
export async function waitForService(context: Context, what: WaitFor): Promise<number> {
  const session = await context.connect();
  const { io } = context;
  const view = new ProgressView(
    what.quiet ? () => undefined : io.out,
    io.isTerminal ? io.columns : undefined,
    what,
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
    if (verdict === 'converged') {
      if (what.quiet) warn(context, view.warnings);
      if (judge.silent.length > 0) io.err(notTold(what, judge.silent));
      return 0;
    }
    if (verdict === 'failed') throw await notConverged(session, what, judge);
    await delay(io.clock, 200);
  }
}

/** One stream of progress; `again` when the daemon or its leader went away meanwhile. */
async function watchOnce(
  session: Session,
  what: WaitFor,
  view: ProgressView,
  judge: Judge,
  signal: AbortSignal,
): Promise<Verdict> {
  const { id, version, removal, settleMs } = what;
  const request = WatchServiceRequest.create({ id, version, removal, settleMs });
  try {
    for await (const progress of session.stream(ControlService.watchService, request, signal)) {
      view.show(progress);
      const verdict = judge.judge(progress, removal);
      if (verdict !== 'again') return verdict;
    }
  } catch (error) {
    if (judge.gaveUp) return 'failed';
    if (judge.silent.length > 0) return 'converged';
    if (signal.aborted) return 'failed';
    if (removal && SwarmError.is(error) && error.code === 'NOT_FOUND') return 'converged';
    if (!SwarmError.is(error) || !RETRIED.has(error.code)) throw error;
  }
  if (judge.gaveUp) return 'failed';
  return judge.silent.length > 0 ? 'converged' : 'again';
}

const RETRIED = new Set(['UNREACHABLE', 'NOT_LEADER', 'NO_QUORUM', 'OVERLOADED', 'EXPIRED']);

/** Reasons of `why` that say more of a rollout than its progress does: which revision. */
const ROLLOUT: ReadonlySet<string> = new Set(['update-paused', 'rollback-paused', 'rolled-back']);

async function notConverged(session: Session, what: WaitFor, judge: Judge): Promise<SwarmError> {
  const message = `Service ${what.name} has not converged.`;
  const lines = judge.reason === '' ? [message] : [message, judge.reason];
  let advice = '';
  let command = `swarm why ${what.name}`;
  try {
    const request = WhyRequest.create({ ref: what.id, kind: 'service' });
    const top = (await session.read(ControlService.why, request)).reasons[0];
    if (top !== undefined) {
      // Often both end with the same words of a node: one sentence is enough.
      const isSame = top.text.includes(judge.reason.replace(/^[^:]*: /, ''));
      if (isSame && ROLLOUT.has(top.code)) lines.splice(1, 1, top.text);
      else if (!isSame && !judge.reason.includes(top.text)) lines.push(top.text);
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

/** It runs, but some nodes may not pass connections on to it. */
function notTold(what: WaitFor, names: readonly string[]): string {
  const those = names.length === 1 ? 'has' : 'have';
  return (
    `WARNING: ${names.join(', ')} ${those} not told yet whether the ports of ${what.name} are open ` +
    `there: swarm why ${names[0]}\n`
  );
}

function goesOn(what: WaitFor): string {
  const does = what.removal ? 'goes on being removed' : 'goes on';
  return `\nService ${what.name} ${does} in the background: swarm service ps ${what.name}\n`;
}
