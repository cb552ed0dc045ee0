import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Verb } from '../command.ts';
import type { Context } from '../context.ts';
import { invalid } from '../parse/invalid.ts';
import type { Session } from '../session.ts';
import { TaskTalk } from '../task-talk.ts';
import { INTERRUPTED } from '../wait.ts';

export const portForward: Verb = {
  declare(command) {
    command
      .argument('<TASK|SERVICE[.SLOT]>')
      .argument('<[LOCAL:]PORT...>')
      .option('--address <ADDRESS>', 'Listen on this address of this machine (127.0.0.1)');
  },
  async run(context, words, flags) {
    const [ref = '', ...texts] = words;
    const pairs = texts.map(parsePair);
    const host = flags.text('address') ?? '127.0.0.1';
    const session = await context.connect();
    const interrupted = context.io.onInterrupt();
    const forwards: Forward[] = [];
    try {
      for (const { local, remote } of pairs) {
        const forward = new Forward(context, session, ref, remote);
        forwards.push(forward);
        const port = await forward.listen(host, local);
        context.io.out(`Forwarding from ${shown(host)}:${port} -> ${remote}\n`);
      }
      if (!interrupted.aborted) await once(interrupted, 'abort');
      return INTERRUPTED;
    } finally {
      for (const forward of forwards) forward.close();
    }
  },
};

interface Pair {
  readonly local: number;
  readonly remote: number;
}

/** "80": the same port here; "8080:80"; ":80": any free one. */
function parsePair(text: string): Pair {
  const match = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text);
  const remote = Number(match?.[2]);
  const local = match?.[1] === undefined ? remote : Number(match[1]);
  if (!match || remote < 1 || remote > 65_535 || local > 65_535) {
    throw invalid('PORT', text, '80, 8080:80 or :80');
  }
  return { local, remote };
}

function shown(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** One port of this machine; each connection to it becomes one inside the task. */
class Forward {
  readonly #context: Context;
  readonly #session: Session;
  readonly #ref: string;
  readonly #port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #greeted = '';

  constructor(context: Context, session: Session, ref: string, port: number) {
    this.#context = context;
    this.#session = session;
    this.#ref = ref;
    this.#port = port;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      void this.#pass(socket);
    });
  }
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const taken = code === 'EADDRINUSE';
      const why = taken ? 'another program listens there' : messageOf(error);
      throw new SwarmError(
        taken ? 'PORT_TAKEN' : 'INVALID_ARGUMENT',
        `Cannot listen on ${shown(host)}:${port}: ${why}.`,
        { advice: `Choose another port of this machine: :${this.#port} takes any free one.` },
      );
    }
    return (this.#server.address() as { port: number }).port;
  }
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
  async #pass(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    const talk = new TaskTalk(this.#session, this.#ref, { dial: { port: this.#port } });
    socket.once('close', () => {
      this.#sockets.delete(socket);
      talk.close();
    });
    try {
      const { taskName, nodeName } = await talk.started;
      this.#greet(`${taskName} on ${nodeName}`);
      socket.pipe(talk.input);
      talk.output.pipe(socket);
      await talk.ended;
    } catch (error) {
      if (!socket.destroyed) this.#complain(error);
      socket.destroy();
    }
  }
  /** The forward itself goes on. */
  #complain(error: unknown): void {
    const isBroken = SwarmError.is(error) && error.code === 'BROKEN_OFF';
    const text = isBroken ? `${error.message} ${error.advice}` : messageOf(error);
    this.#context.io.err(`port ${this.#port}: ${text}\n`);
  }
  /** Which task it is, whenever that changes. */
  #greet(task: string): void {
    if (task === this.#greeted) return;
    this.#greeted = task;
    this.#context.io.out(`Port ${this.#port} is that of ${task}\n`);
  }
}
