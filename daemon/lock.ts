import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmError } from '../shared/errors.ts';

/** A process as the kernel tells it from any later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTicks: string;
  readonly bootId: string;
}

function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    if (fields[0] === 'Z') return undefined;
    return { pid, startTicks: fields[19] ?? '', bootId };
  } catch {
    return undefined;
  }
}

function isAlive(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid);
  return now?.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** The daemon that holds `stateDir` now, if any. */
function readLock(stateDir: string): ProcessIdentity | undefined {
  try {
    const held = JSON.parse(readFileSync(join(stateDir, 'lock'), 'utf8')) as ProcessIdentity;
    return isAlive(held) ? held : undefined;
  } catch {
    return undefined;
  }
}

/**
 * One daemon for a state directory. The lock names pid, start time and boot, so that what a crash or
 * a reboot left behind is told from a daemon that runs. Returns the step that gives it up.
 */
export function acquireLock(stateDir: string): () => void {
  const path = join(stateDir, 'lock');
  const own = identifyProcess(process.pid);
  if (own === undefined) throw new SwarmError('STATE_DIR', '/proc is not readable here');
  const mine = `${path}.${process.pid}`;
  writeDurably(mine, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        linkSync(mine, path);
        return () => rmSync(path, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw noLock(stateDir, error);
      }
      const holder = readLock(stateDir);
      if (holder !== undefined && holder.pid !== process.pid) {
        throw new SwarmError('STATE_DIR', `another swarmd (pid ${holder.pid}) uses ${stateDir}`, {
          advice: 'One daemon a state directory: give this one another with --state-dir.',
        });
      }
      rmSync(path, { force: true });
    }
    throw noLock(stateDir, undefined);
  } finally {
    rmSync(mine, { force: true });
  }
}

function noLock(stateDir: string, cause: unknown): SwarmError {
  return new SwarmError('STATE_DIR', `${stateDir} cannot be locked: its file system has no links`, {
    cause,
    advice: 'Put the state directory on a local disk.',
  });
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
