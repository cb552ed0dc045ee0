import type { LogDriver } from '../proto/index.ts';
import { LIMITS } from './limits.ts';

/** How much of a task's output its node keeps. */
export interface LogBounds {
  /** Of one file; it may be passed by a line. */
  readonly fileBytes: number;
  readonly files: number;
}

export const LOG_BOUNDS: LogBounds = {
  fileBytes: LIMITS.logFileBytesMax,
  files: LIMITS.logFilesMax,
};

/** Docker's names for logs that the node keeps itself: here they are one. */
const DRIVERS = ['', 'json-file', 'local'];
const SIZE = /^(\d{1,9})([kmg]?)b?$/i;
const UNITS: { readonly [unit: string]: number } = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** What is not understood of a log driver's wishes. */
export interface LogMistake {
  readonly field: string;
  readonly wrong: string;
  readonly allowed: string;
}

/** What is not said is as without a driver. */
export function logBounds(driver: LogDriver | null | undefined): LogBounds | LogMistake {
  if (!driver) return LOG_BOUNDS;
  const { name, options } = driver;
  if (!DRIVERS.includes(name))
    return {
      field: 'log_driver',
      wrong: `there is no log driver ${name}: each node keeps the logs of its tasks (swarm logs)`,
      allowed: 'json-file, local, or none given',
    };
  const unknown = Object.keys(options).find((key) => key !== 'max-size' && key !== 'max-file');
  if (unknown !== undefined)
    return mistake(unknown, 'there is no such option', 'max-size, max-file');
  const size = options['max-size'];
  const fileBytes = size === undefined ? LOG_BOUNDS.fileBytes : bytesOf(size);
  const most = LIMITS.logFileBytesAsked;
  if (fileBytes < 1_024 || fileBytes > most)
    return mistake('max-size', `"${size}"`, `1k to ${most >> 20}m`);
  const count = options['max-file'] ?? `${LOG_BOUNDS.files}`;
  const files = /^\d{1,4}$/.test(count) ? Number(count) : 0;
  if (files < 1 || files > LIMITS.logFilesAsked)
    return mistake('max-file', `"${count}"`, `1 to ${LIMITS.logFilesAsked}`);
  return { fileBytes, files };
}

export function isLogMistake(value: LogBounds | LogMistake): value is LogMistake {
  return 'wrong' in value;
}

function mistake(option: string, wrong: string, allowed: string): LogMistake {
  return { field: `log_driver.${option}`, wrong, allowed };
}

function bytesOf(text: string): number {
  const match = SIZE.exec(text);
  return match === null ? 0 : Number(match[1]) * UNITS[match[2]!.toLowerCase()]!;
}
