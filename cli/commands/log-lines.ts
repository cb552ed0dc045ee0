import { isUtf8 } from 'node:buffer';
import type { Command } from 'commander';
import {
  type LogRecord,
  LogRequest,
  type LogsItem,
  LogsRequest,
  type Method,
} from '../../proto/index.ts';
import { delay } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Context } from '../context.ts';
import { printable } from '../output/printable.ts';
import { isoLocal } from '../output/relative-time.ts';
import { parseDurationMs } from '../parse/duration.ts';
import { invalid } from '../parse/invalid.ts';
import { parseWhole } from '../parse/number.ts';
import type { Session } from '../session.ts';
import type { Flags } from '../spec/flags.ts';
import { INTERRUPTED } from '../wait.ts';
import { LogPlace } from './log-place.ts';

export function declareLogs(command: Command): Command {
  return command
    .option('-f, --follow', 'Go on with new lines')
    .option('-n, --tail <N>', 'Only the last N lines of each task')
    .option('--since <TIME>', 'Only from then on: 10m, 2026-01-31T12:00:00 or seconds since 1970')
    .option('--until <TIME>', 'Only before then')
    .option('-t, --timestamps', 'With times')
    .option('--raw', 'Bytes as they are, without names')
    .option('--no-task-ids', 'Without ids of tasks')
    .option('--no-trunc', 'Whole ids')
    .option('--stdout', 'Only standard output')
    .option('--stderr', 'Only standard error');
}

export function logsRequest(
  context: Context,
  ref: string,
  kind: string,
  flags: Flags,
): LogsRequest {
  const now = context.io.clock.wallMs();
  const both = flags.is('stdout') === flags.is('stderr');
  const options = LogRequest.create({
    follow: flags.is('follow'),
    tail: flags.or('tail', 0, parseTail),
    sinceWallMs: flags.or('since', 0, (flag, text) => parseMoment(flag, text, now)),
    untilWallMs: flags.or('until', 0, (flag, text) => parseMoment(flag, text, now)),
    stdout: both || flags.is('stdout'),
    stderr: both || flags.is('stderr'),
  });
  return LogsRequest.create({ ref, kind, options });
}

/** As `LogRequest.tail` has it: there 0 is everything. */
function parseTail(flag: string, text: string): number {
  if (text === 'all') return 0;
  const lines = parseWhole(flag, text);
  return lines === 0 ? -1 : lines;
}

/** "10m" ago, an ISO time, or seconds since 1970, in wall milliseconds. */
function parseMoment(flag: string, text: string, nowMs: number): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1_000);
  if (/^[\d.]+(ns|us|µs|ms|s|m|h)/.test(text)) return nowMs - parseDurationMs(flag, text);
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw invalid(flag, text, '10m, 2026-01-31T12:00:00 or seconds since 1970');
  return at;
}

/**
 * Prints records until the stream ends; who follows ends it with Ctrl-C. What is cut off by a change of
 * the leader goes on with the next one, nothing lost and nothing twice.
 */
export async function printLogs(
  context: Context,
  session: Session,
  method: Method<LogsRequest, LogsItem, false, true>,
  request: LogsRequest,
  nameOf: (record: LogRecord) => Promise<string>,
  flags: Flags,
): Promise<number> {
  const interrupted = context.io.onInterrupt();
  const place = new LogPlace(request);
  for (let cuts = 0; ; ) {
    try {
      for await (const item of session.stream(method, place.request, interrupted)) {
        cuts = 0;
        if (item.note !== '') context.io.err(`WARNING: ${printable(item.note)}\n`);
        for (const record of item.records)
          if (place.isNew(record)) await printRecord(context, record, nameOf, flags);
      }
      return 0;
    } catch (error) {
      if (interrupted.aborted) return INTERRUPTED;
      const again = request.options?.follow === true && isCut(error) && ++cuts <= CUTS_MAX;
      if (!again) throw error;
      place.cut();
      await delay(context.io.clock, AGAIN_MS);
    }
  }
}

const CUTS_MAX = 20;
const AGAIN_MS = 500;
const CUTS: ReadonlySet<string> = new Set(['NOT_LEADER', 'NO_QUORUM', 'DROPPED', 'UNREACHABLE']);

/** The managers changed under the stream; a daemon that is gone altogether is not waited for. */
function isCut(error: unknown): boolean {
  return SwarmError.is(error) && CUTS.has(error.code);
}

async function printRecord(
  context: Context,
  record: LogRecord,
  nameOf: (record: LogRecord) => Promise<string>,
  flags: Flags,
): Promise<void> {
  const line = Buffer.from(record.line).toString('utf8');
  const write = record.stderr ? context.io.err : context.io.out;
  const time = flags.is('timestamps') ? `${isoLocal(record.atWallMs)} ` : '';
  const end = record.partial ? '' : '\n';
  if (flags.is('raw')) {
    if (isUtf8(record.line)) write(`${time}${line}${end}`);
    else writeBytes(context, record, time, end);
    return;
  }
  write(`${time}${(await nameOf(record)).padEnd(24)} | ${printable(line.replace(/\n$/, ''))}\n`);
}

/** What is no text would not survive being made one. */
function writeBytes({ io }: Context, record: LogRecord, time: string, end: string): void {
  const to = record.stderr ? io.terminal.errors : io.terminal.output;
  to.write(Buffer.concat([Buffer.from(time), record.line, Buffer.from(end)]));
}
