import { join } from 'node:path';
import type { PortBinding } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';
import type { ProcessIdentity } from './identity.ts';

/**
 * The files of all process tasks lie in one directory, so that one watch tells of them all:
 * `ID.json` prepared, `ID.pid` claimed by a supervisor (or by who cancels it), `ID.task` the task's
 * own process, `ID.exit-CODE` ended.
 */
export type RunFile = 'json' | 'pid' | 'task' | `exit-${number}`;

/** Which files of a task there are. */
export interface RunEntry {
  readonly prepared: boolean;
  readonly claimed: boolean;
  readonly started: boolean;
  readonly exitCode: number | undefined;
}

export const NO_ENTRY: RunEntry = {
  prepared: false,
  claimed: false,
  started: false,
  exitCode: undefined,
};

/** Splits a file name; undefined for what is not a task's. */
export function parseRunName(name: string): { id: string; file: RunFile } | undefined {
  const match = /^([^.]+)\.(json|pid|task|exit-\d{1,3})$/.exec(name);
  return match ? { id: match[1]!, file: match[2] as RunFile } : undefined;
}

export function withFile(entry: RunEntry, file: RunFile): RunEntry {
  if (file === 'json') return { ...entry, prepared: true };
  if (file === 'pid') return { ...entry, claimed: true };
  if (file === 'task') return { ...entry, started: true };
  return { ...entry, exitCode: Number(file.slice('exit-'.length)) };
}

/** What `ID.json` says. */
export interface Prepared {
  readonly boot: string;
  readonly ports: readonly PortBinding[];
  readonly listenHost: string;
  readonly pidNamespace: boolean;
  /** Environment that names its units of generic resources; absent in files of earlier releases. */
  readonly units?: readonly string[];
}

export function readPrepared(io: Io, base: string): Prepared | undefined {
  const text = io.read(`${base}.json`)?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Prepared;
  } catch {
    return undefined;
  }
}

export function writePrepared(io: Io, base: string, prepared: Prepared): void {
  io.write(`${base}.json.tmp`, JSON.stringify(prepared));
  io.rename(`${base}.json.tmp`, `${base}.json`);
}

/** The supervisor as it wrote itself down; pid 0: cancelled before one came. */
export function readClaim(io: Io, base: string): (ProcessIdentity & { boot: string }) | undefined {
  const text = io.read(`${base}.pid`)?.toString('utf8') ?? '';
  // Complete only with its line end: a reader may come between creation and write.
  if (!text.endsWith('\n')) return undefined;
  const [pid = '', start = '', boot = ''] = text.trim().split(' ');
  return { pid: Number(pid), start, boot };
}

export function readTask(io: Io, base: string): ProcessIdentity | undefined {
  const text = io.read(`${base}.task`)?.toString('utf8') ?? '';
  if (!text.endsWith('\n')) return undefined;
  const [pid = '', start = ''] = text.trim().split(' ');
  return { pid: Number(pid), start };
}

/** True when no supervisor has the task, and none ever will. */
export function cancel(io: Io, base: string, boot: string): boolean {
  return io.create(`${base}.pid`, `0 0 ${boot}\n`);
}

export function removeRunFiles(io: Io, directory: string, id: string, entry: RunEntry): void {
  const base = join(directory, id);
  // In this order: a supervisor that claims after the last step misses what went in the first.
  io.unlink(`${base}.json`);
  io.unlink(`${base}.json.tmp`);
  io.unlink(`${base}.task`);
  if (entry.exitCode !== undefined) io.unlink(`${base}.exit-${entry.exitCode}`);
  io.unlink(`${base}.pid`);
}
