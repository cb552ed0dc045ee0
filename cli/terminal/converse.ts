import type { Readable, Writable } from 'node:stream';
import type { Io } from '../io.ts';
import type { TaskTalk } from '../task-talk.ts';
import { DetachFilter } from './detach-keys.ts';

export interface Conversation {
  /** At the other end is a terminal: this one is only passed through. */
  readonly terminal: boolean;
  readonly input: boolean;
  /** Undefined: nothing detaches. */
  readonly detachKeys: readonly number[] | undefined;
  /** Signals go to the task instead of ending this program. */
  readonly passSignals?: boolean;
}

/**
 * Joins this program's input and output with a talk that has begun, until it ends. Resolves with the
 * other end's exit code. The terminal is as it was, however this ends.
 */
export async function converse(io: Io, talk: TaskTalk, how: Conversation): Promise<number> {
  const { terminal } = io;
  const undo: (() => void)[] = [];
  const outputs = [copy(talk.output, terminal.output), copy(talk.errors, terminal.errors)];
  try {
    if (how.terminal) {
      if (how.input) undo.push(terminal.raw());
      undo.push(terminal.onResize((size) => talk.send({ size })));
      // It may have changed since the command was asked for.
      talk.send({ size: terminal.size() });
    }
    if (how.passSignals === true) undo.push(terminal.onSignal((signal) => talk.send({ signal })));
    if (how.input) undo.push(passInput(talk, terminal.input, how.detachKeys));
    const { code } = await talk.ended;
    await Promise.all(outputs);
    return code;
  } finally {
    for (const fn of undo.reverse()) fn();
    if (how.input) terminal.stopReading();
  }
}

/** Returns what ends it. */
function passInput(
  talk: TaskTalk,
  input: Readable,
  detachKeys: readonly number[] | undefined,
): () => void {
  const filter = detachKeys === undefined ? undefined : new DetachFilter(detachKeys);
  const sink = talk.input;
  const typed = (chunk: Buffer): void => {
    const { bytes, detached } = filter?.take(chunk) ?? { bytes: chunk, detached: false };
    if (bytes.length > 0 && !sink.write(bytes)) {
      input.pause();
      sink.once('drain', () => input.resume());
    }
    if (detached) talk.send({ detach: true });
  };
  const ended = (): void => void sink.end();
  input.on('data', typed);
  input.once('end', ended);
  return () => {
    input.off('data', typed);
    input.off('end', ended);
    input.pause();
  };
}

/** Waits for who reads our output, and lets nobody else wait longer than that. */
async function copy(from: Readable, to: Writable): Promise<void> {
  try {
    for await (const chunk of from) {
      if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve));
    }
  } catch {
    // The talk's own end says what happened.
  }
}
