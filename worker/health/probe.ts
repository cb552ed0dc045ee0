import { request } from 'node:http';
import { connect } from 'node:net';
import type { HealthCheck, PortBinding } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';

export interface ProbeResult {
  readonly ok: boolean;
  /** Of a command its exit code, else 0 or 1; -1: it came to no end in time. */
  readonly code: number;
  /** At most `LIMITS.healthOutputBytesMax` bytes, for people. */
  readonly output: string;
  /** No answer in time: the task may only be slow. */
  readonly timedOut: boolean;
}

/** Looks once. Never throws. */
export type Probe = (timeoutMs: number) => Promise<ProbeResult>;

export interface ProbeTarget {
  readonly clock: Clock;
  /** Address that the task listens on. */
  readonly host: string;
  readonly ports: readonly PortBinding[];
  runCommand(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ code: number; output: string }>;
}

/** Undefined when nothing is checked. */
export function makeProbe(
  check: Pick<HealthCheck, 'http' | 'tcp'> & { readonly cmd?: readonly string[] },
  target: ProbeTarget,
): Probe | undefined {
  const command = healthCommand(check.cmd ?? []);
  if (command) return (timeoutMs) => probeCommand(command, target, timeoutMs);
  if (check.http !== '') return (timeoutMs) => probeHttp(check.http, target, timeoutMs);
  if (check.tcp !== '') return (timeoutMs) => probeTcp(check.tcp, target, timeoutMs);
  return undefined;
}

/** Docker's forms: CMD-SHELL TEXT, CMD ARG…, NONE. Undefined: no command. */
export function healthCommand(cmd: readonly string[]): readonly string[] | undefined {
  const [kind, ...rest] = cmd;
  if (kind === undefined || kind === 'NONE' || rest.length === 0) return undefined;
  return kind === 'CMD-SHELL' ? ['/bin/sh', '-c', rest.join(' ')] : rest;
}

/**
 * `:PORT/path` or `HOST:PORT/path` → where to connect. PORT is the target port of the spec: where
 * the task has a port of its own for it, that one is meant.
 */
export function resolveTarget(
  text: string,
  target: Pick<ProbeTarget, 'host' | 'ports'>,
): { readonly host: string; readonly port: number; readonly path: string } | undefined {
  const match = /^([^/:]*|\[[^\]]*\]):(\d{1,5})(\/.*)?$/.exec(text.replace(/^https?:\/\//, ''));
  if (!match) return undefined;
  const asked = Number(match[2]);
  const port = target.ports.find((binding) => binding.target === asked)?.port ?? asked;
  const host = match[1]?.replaceAll(/[[\]]/g, '') || target.host;
  return { host, port, path: match[3] ?? '/' };
}

async function probeCommand(
  command: readonly string[],
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeResult> {
  const failed = (error: unknown) => ({ code: -1, output: messageOf(error) });
  const { code, output } = await target.runCommand(command, timeoutMs).catch(failed);
  const text = code === 0 ? output : `exit code ${code}: ${output}`;
  return { ok: code === 0, code, output: cut(text), timedOut: code < 0 };
}

function probeHttp(text: string, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const where = resolveTarget(text, target);
  if (!where) return Promise.resolve(bad(`${text} is not of the form :PORT/path`));
  const { promise, finish } = limited(target.clock, timeoutMs, () => call.destroy());
  const call = request({ ...where, method: 'GET', agent: false }, (answer) => {
    const chunks: Buffer[] = [];
    let size = 0;
    answer.on('data', (chunk: Buffer) => {
      if (size < LIMITS.healthOutputBytesMax) chunks.push(chunk);
      size += chunk.length;
    });
    answer.once('error', (error) => finish(bad(error.message)));
    answer.once('end', () => {
      const status = answer.statusCode ?? 0;
      const body = Buffer.concat(chunks).toString('utf8');
      const ok = status >= 200 && status < 400;
      finish({ ok, code: ok ? 0 : 1, output: cut(`HTTP ${status} ${body}`), timedOut: false });
    });
  });
  call.once('error', (error) => finish(unanswered(text, error)));
  call.end();
  return promise;
}

function probeTcp(text: string, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  const where = resolveTarget(text, target);
  if (!where) return Promise.resolve(bad(`${text} is not of the form :PORT`));
  const { promise, finish } = limited(target.clock, timeoutMs, () => socket.destroy());
  const socket = connect(where.port, where.host, () => {
    socket.destroy();
    const output = `connected to ${where.host}:${where.port}`;
    finish({ ok: true, code: 0, output, timedOut: false });
  });
  socket.once('error', (error) => finish(unanswered(text, error)));
  return promise;
}

function limited(
  clock: Clock,
  timeoutMs: number,
  end: () => void,
): { promise: Promise<ProbeResult>; finish: (result: ProbeResult) => void } {
  let finish: (result: ProbeResult) => void = () => undefined;
  const promise = new Promise<ProbeResult>((resolve) => {
    const timer = clock.setTimer(timeoutMs, () => {
      const output = `no answer within ${timeoutMs} ms`;
      resolve({ ok: false, code: -1, output, timedOut: true });
      end();
    });
    finish = (result) => {
      timer.cancel();
      resolve(result);
    };
  });
  return { promise, finish };
}

/** By the port that its user knows: where the task really listens is the node's own affair. */
function unanswered(asked: string, error: Error & { readonly code?: string }): ProbeResult {
  if (error.code === 'ECONNREFUSED') return bad(`nothing listens at ${asked} (ECONNREFUSED)`);
  return bad(`${asked}: ${error.message}`);
}

function bad(output: string): ProbeResult {
  return { ok: false, code: 1, output: cut(output), timedOut: false };
}

function cut(text: string): string {
  return Buffer.byteLength(text) <= LIMITS.healthOutputBytesMax
    ? text.trimEnd()
    : Buffer.from(text).subarray(0, LIMITS.healthOutputBytesMax).toString('utf8');
}
