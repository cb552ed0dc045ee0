import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Empty, type InfoResponse, LocalService, StopRequest } from '../proto/index.ts';
import { delay } from '../shared/clock.ts';
import { SwarmError } from '../shared/errors.ts';
import { openSession, probeSocket } from './connect.ts';
import type { Context } from './context.ts';
import { startDaemon, waitForSocket } from './daemon-process.ts';
import { findInstallation } from './installation.ts';
import { ownSocket, type Surroundings, SYSTEM_SOCKET, stateDirOf } from './paths.ts';
import { isSameProcess, processStartTime } from './process-identity.ts';
import type { Session } from './session.ts';
import type { Flags } from './spec/flags.ts';
import { hasUnit, startUnit } from './systemd.ts';

/** The daemon that answers now; `started` when this command started it. */
export interface LocalDaemon {
  readonly session: Session;
  readonly started: boolean;
  /** Ends what this command started and removes what it made: for a step that failed after it. */
  undo(): Promise<void>;
}

/** For a step that failed after `daemon` was there. What may have been done all the same is kept. */
export async function undoAfter(error: unknown, daemon: Pick<LocalDaemon, 'undo'>): Promise<void> {
  if (SwarmError.is(error) && error.code === 'MAYBE_DONE') return;
  await daemon.undo();
}

export function surroundingsOf(context: Context): Surroundings {
  return { env: context.io.env, uid: context.io.uid, installation: findInstallation() };
}

/** The daemon of this node for `init`, `join` and `start`: started when none answers. */
export async function ensureDaemon(context: Context, flags: Flags): Promise<LocalDaemon> {
  const at = surroundingsOf(context);
  const socket = ownSocket(at, context.globals, flags.text('state-dir'));
  const state = await probeSocket(socket);
  if (state === 'denied') {
    throw new SwarmError('FORBIDDEN', `You may not open the daemon's socket ${socket}.`, {
      advice: 'Run this as root, or choose your own place with --state-dir DIR.',
    });
  }
  if (state === 'answers') {
    return { session: await openSession(socket), started: false, undo: async () => undefined };
  }
  const stateDir = stateDirOf(at, flags.text('state-dir'));
  if (socket === SYSTEM_SOCKET && stateDir === stateDirOf({ ...at, env: {} }) && hasUnit()) {
    // Systemd may have been starting it already: then it is not this command's to stop, and without a
    // cluster it waits for one as it does after an installation.
    await startUnit();
    await waitForSocket(socket, context.io.clock);
    return { session: await openSession(socket), started: true, undo: async () => undefined };
  }
  const made = !existsSync(stateDir);
  const allowProcess = flags.is('allow-process');
  const offer = { bindRoots: flags.list('bind-roots'), generic: flags.list('generic-resource') };
  const place = { daemon: at.installation.daemon, stateDir, socket, allowProcess, offer };
  const daemon = await startDaemon(place, context.io.clock);
  context.io.err(`Started the daemon (pid ${daemon.pid}), log: ${daemon.logFile}\n`);
  const session = await openSession(socket);
  const undo = async (): Promise<void> => {
    await stopDaemon(context, session);
    if (made) rmSync(stateDir, { recursive: true, force: true });
    if (made && dirname(socket) !== stateDir) rmSync(socket, { force: true });
  };
  return { session, started: true, undo };
}

/**
 * Asks a daemon to end in order and waits until its process is gone. `restarting`: it is started again
 * at once, so its node stays in load balancing meanwhile.
 */
export async function stopDaemon(
  context: Context,
  session: Session,
  how: {
    readonly withTasks?: boolean;
    readonly restarting?: boolean;
    /** Its state directory is deleted next. */
    readonly forget?: boolean;
  } = {},
): Promise<void> {
  const info: InfoResponse = await session.read(LocalService.info, Empty.create());
  const startTime = processStartTime(info.pid) ?? '';
  try {
    await session.write(LocalService.stop, StopRequest.create(how));
  } catch (error) {
    // It may end before its answer is out; whether it did is seen below.
    if (!SwarmError.is(error) || error.details['reset'] !== 'true') throw error;
  }
  session.close();
  await waitForEnd(context, info.pid, startTime);
}

/** Resolves when the process is gone; 60 s are enough for tasks with a long grace. */
export async function waitForEnd(context: Context, pid: number, startTime: string): Promise<void> {
  const { clock } = context.io;
  const endMs = clock.monotonicMs() + 60_000;
  for (let pauseMs = 5; isSameProcess(pid, startTime); pauseMs = Math.min(pauseMs * 1.5, 100)) {
    if (clock.monotonicMs() > endMs) {
      throw new SwarmError('DEADLINE', `The daemon (pid ${pid}) did not end within 60 s.`, {
        advice: 'Its log says what it waits for.',
      });
    }
    await delay(clock, pauseMs);
  }
}

/** True when a node's state is kept in `stateDir`: something to start. */
export function hasState(stateDir: string): boolean {
  return existsSync(join(stateDir, 'node.json'));
}
