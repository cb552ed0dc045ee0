import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '../../../shared/clock.ts';
import type { FlowAffinity } from './udp-listener.ts';

/**
 * How an older netd gives its work to a newer one, over Node's IPC channel: each listening socket as
 * a handle, so that no moment is without a listener, then `apply`; the newer one takes the control
 * socket's name and answers `ready`; the older one closes its copies and ends with its last
 * connection. Nothing is sent before the newer one says `waiting`: a socket that came to a process
 * still loading its code would accept connections that nobody there sees.
 */
export type HandoverMessage =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'listener'; readonly key: string; readonly affinity: readonly FlowAffinity[] }
  | { readonly kind: 'apply'; readonly versionText: string }
  | { readonly kind: 'ready' };

/** The newer netd's end of the channel: `process`, where it was started with one. */
export interface HandoverChannel {
  readonly send?: ((message: HandoverMessage) => boolean) | undefined;
  readonly connected: boolean;
  on(event: 'message', fn: (message: unknown, handle: unknown) => void): unknown;
  on(event: 'disconnect', fn: () => void): unknown;
}

export interface HandedListener {
  readonly key: string;
  readonly handle: unknown;
  readonly affinity: readonly FlowAffinity[];
}

export interface Successor {
  readonly execPath: string;
  readonly execArgs: readonly string[];
  readonly versionText: string;
  readonly listeners: readonly HandedListener[];
  readonly clock: Clock;
}

/** A netd that has not taken over by then is ended, and the older one goes on. */
const TAKE_OVER_MS = 15_000;

/** Starts the newer netd and hands over. Resolves when it serves; rejects when it could not. */
export function startSuccessor(successor: Successor): Promise<void> {
  const child = spawn(successor.execPath, [...successor.execArgs], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      timer.cancel();
      child.removeAllListeners();
      child.on('error', () => undefined);
      child.kill('SIGKILL');
      reject(new Error(reason));
    };
    const timer = successor.clock.setTimer(TAKE_OVER_MS, () =>
      fail('it did not take over in time'),
    );
    child.on('error', (error) => fail(error.message));
    child.on('exit', (code, signal) => fail(`it ended with ${signal ?? `exit code ${code}`}`));
    child.on('message', (message) => {
      const { kind } = message as HandoverMessage;
      if (kind === 'waiting') sendAll(child, successor);
      if (kind !== 'ready') return;
      timer.cancel();
      child.removeAllListeners();
      child.on('error', () => undefined);
      child.disconnect();
      child.unref();
      resolve();
    });
  });
}

function sendAll(child: ChildProcess, successor: Successor): void {
  // A failure shows as the child's exit or the deadline.
  const sent = (): void => undefined;
  for (const { key, handle, affinity } of successor.listeners) {
    const message: HandoverMessage = { kind: 'listener', key, affinity };
    child.send(message, handle as Parameters<ChildProcess['send']>[1] & object, {}, sent);
  }
  const apply: HandoverMessage = { kind: 'apply', versionText: successor.versionText };
  child.send(apply, sent);
}

/**
 * The newer side: gives each socket to `adopt` in the moment it arrives, since clients may already
 * be waiting on it. Resolves with the version that the older netd was asked for when all have come,
 * or with what came when the older netd is gone.
 */
export function receiveListeners(
  channel: HandoverChannel,
  adopt: (key: string, handle: unknown, affinity: readonly FlowAffinity[]) => void,
): Promise<string> {
  return new Promise((resolve) => {
    if (!channel.connected) return resolve('');
    channel.on('message', (raw, handle) => {
      const message = raw as HandoverMessage;
      if (message.kind === 'listener' && handle) adopt(message.key, handle, message.affinity);
      else if (message.kind === 'apply') resolve(message.versionText);
    });
    channel.on('disconnect', () => resolve(''));
    channel.send?.({ kind: 'waiting' });
  });
}
