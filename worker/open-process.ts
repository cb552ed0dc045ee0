import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { OpenProcess, OpenRequest } from './io.ts';

/** See `Io.open`. */
export function openProcess(request: OpenRequest): OpenProcess {
  const child = spawn(request.command, [...request.args], {
    cwd: request.cwd,
    env: { ...request.env },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const [stdin, stdout, stderr, notes] = child.stdio as unknown as [
    Writable,
    Readable,
    Readable,
    Readable,
  ];
  for (const pipe of [stdin, stdout, stderr, notes]) pipe.on('error', () => undefined);
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(codeOf(code, signal)));
  });
  exit.catch(() => undefined);
  return { pid: child.pid ?? 0, stdin, stdout, stderr, notes, exit };
}

function codeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
