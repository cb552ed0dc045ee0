#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { SystemClock } from '../shared/clock.ts';
import type { Context } from './context.ts';
import type { Io } from './io.ts';
import { exitCodeOf, formatError } from './output/error.ts';
import { choose, perform } from './program.ts';
import type { Session } from './session.ts';
import { SystemTerminal } from './terminal/system-terminal.ts';

/** The command line of `swarm`: chooses a verb, runs it, prints its error, ends with its code. */
async function main(): Promise<void> {
  const io = processIo();
  let session: Promise<Session> | undefined;
  try {
    const choice = await choose(process.argv.slice(2), io);
    const globals = 'code' in choice ? { socket: undefined, via: undefined } : choice.globals;
    const context: Context = {
      io,
      globals,
      connect: () => {
        session ??= openSession(context);
        return session;
      },
    };
    process.exitCode = await perform(choice, context);
  } catch (error) {
    io.err(formatError(error));
    process.exitCode = exitCodeOf(error);
  } finally {
    await session?.then(
      (open) => open.close(),
      () => undefined,
    );
  }
}

/** One for the whole run: whoever asks shares it. A second one ends the process at once. */
let interrupt: AbortSignal | undefined;

function listenForInterrupt(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => {
    process.once('SIGINT', () => process.exit(130));
    controller.abort();
  });
  return controller.signal;
}

async function openSession(context: Context): Promise<Session> {
  const { connect } = await import('./connect.ts');
  const { surroundingsOf } = await import('./local-daemon.ts');
  return connect(surroundingsOf(context), context.globals);
}

function processIo(): Io {
  // A reader that went away (`swarm events | head -1`) is no error.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  }
  return {
    clock: new SystemClock(),
    env: process.env,
    uid: process.getuid?.() ?? -1,
    isTerminal: process.stdout.isTTY === true,
    // A terminal that does not know its width says 0.
    columns: process.stdout.columns || 80,
    terminal: new SystemTerminal(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    readStdin: async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    },
    readFile: (path) => readFile(path, 'utf8'),
    ask: async (...what) => (await import('./ask.ts')).askTerminal(...what),
    onInterrupt: () => {
      interrupt ??= listenForInterrupt();
      return interrupt;
    },
  };
}

await main();
