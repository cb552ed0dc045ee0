import { constants } from 'node:os';
import type { Exit } from '../../runtime.ts';

/** A shell says 128 + n for a task that signal n ended. */
export function exitOf(code: number, atWallMs: number, oom: boolean): Exit {
  const signal = code > 128 ? signalName(code - 128) : '';
  const message = oom
    ? 'killed by the kernel: it used more memory than its limit'
    : signal === ''
      ? `exit code ${code}`
      : `ended by ${signal}`;
  return { code, signal, oom, atWallMs, message, lost: false };
}

export function lostExit(atWallMs: number, message: string): Exit {
  return { code: 137, signal: 'SIGKILL', oom: false, atWallMs, message, lost: true };
}

/** Cancelled before it began. */
export function cancelledExit(atWallMs: number): Exit {
  return { ...exitOf(137, atWallMs, false), message: 'cancelled before it started' };
}

function signalName(number: number): string {
  for (const [name, value] of Object.entries(constants.signals)) {
    if (value === number && !['SIGIOT', 'SIGPOLL', 'SIGUNUSED'].includes(name)) return name;
  }
  return '';
}

/** `TERM`, `SIGTERM`, `15` → `SIGTERM`; undefined for what is no signal. */
export function parseSignal(text: string): string | undefined {
  if (/^\d+$/.test(text)) return signalName(Number(text)) || undefined;
  const name = text.toUpperCase().startsWith('SIG')
    ? text.toUpperCase()
    : `SIG${text.toUpperCase()}`;
  return Object.hasOwn(constants.signals, name) ? name : undefined;
}
