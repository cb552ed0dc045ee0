import type { Readable, Writable } from 'node:stream';
import {
  Channel,
  ControlService,
  Frame,
  type Init,
  type StreamEnded,
  type StreamStarted,
  TaskStreamRequest,
  TaskStreamUp,
} from '../proto/index.ts';
import { isErrorCode, SwarmError } from '../shared/errors.ts';
import { FramedStream } from '../shared/rpc/framed-stream.ts';
import type { Duplex } from '../shared/rpc/rpc.ts';
import type { Session } from './session.ts';

/** Something in a task that is talked with: a command, its terminal, a port, files. */
export class TaskTalk {
  /** Resolves when it began. Rejects with why it did not; a NotBegun has an exit code of its own. */
  readonly started: Promise<StreamStarted>;
  /** Resolves with how it came to its end; rejects with BROKEN_OFF when the way to it broke. */
  readonly ended: Promise<StreamEnded>;
  readonly #stream: Duplex<Frame, TaskStreamUp>;
  readonly #frames: FramedStream;
  readonly #asked: TaskStreamRequest;
  #began: StreamStarted | undefined;
  #begin: (started: StreamStarted) => void = () => undefined;
  #refuse: (error: Error) => void = () => undefined;
  #finish: (ended: StreamEnded) => void = () => undefined;
  #break: (error: Error) => void = () => undefined;

  constructor(session: Session, ref: string, request: Init<TaskStreamRequest>) {
    this.#asked = TaskStreamRequest.create(request);
    this.#stream = session.talk(ControlService.taskStream);
    this.#frames = new FramedStream({
      send: (frame) => this.#stream.send(TaskStreamUp.create({ frame })),
      incoming: [Channel.OUTPUT, Channel.ERRORS],
      onViolation: (error) => this.#fail(error),
    });
    this.started = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#refuse = reject;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#break = reject;
    });
    this.started.catch(() => undefined);
    this.ended.catch(() => undefined);
    this.#stream.onMessage((frame) => this.#take(frame));
    this.#stream.onClose((error) => this.#broke(error ?? lost()));
    this.#stream.send(TaskStreamUp.create({ ref, open: this.#asked }));
  }
  get input(): Writable {
    return this.#frames.writer(Channel.INPUT);
  }
  get output(): Readable {
    return this.#frames.reader(Channel.OUTPUT);
  }
  get errors(): Readable {
    return this.#frames.reader(Channel.ERRORS);
  }
  send(frame: Init<Frame>): void {
    this.#frames.send(Frame.create(frame));
  }
  /** Nobody listens here any more. */
  close(): void {
    this.#stream.end();
    this.#fail(lost());
  }
  #take(frame: Frame): void {
    this.#frames.take(frame);
    if (frame.started !== null) {
      this.#began = frame.started;
      this.#begin(frame.started);
    }
    if (frame.ended === null) return;
    const { error, errorCode, code } = frame.ended;
    if (errorCode !== '') {
      this.#fail(new SwarmError(isErrorCode(errorCode) ? errorCode : 'RUNTIME', sentence(error)));
      return;
    }
    this.#refuse(new NotBegun(code, error));
    this.#frames.close();
    this.#finish(frame.ended);
    this.#stream.end();
  }
  /** Nobody takes it up again by itself, and a script tells it from how a command ended. */
  #broke(error: SwarmError): void {
    this.#fail(this.#began === undefined ? error : brokenOff(this.#began, this.#asked, error));
  }
  #fail(error: SwarmError): void {
    this.#refuse(error);
    this.#break(error);
    this.#frames.close(error);
  }
}

/** A command that could not be started: Docker's exit codes say why. */
export class NotBegun extends Error {
  override readonly name = 'NotBegun';
  readonly code: number;
  constructor(code: number, message: string) {
    super(sentence(message));
    this.code = code;
  }
}

function lost(): SwarmError {
  return new SwarmError('UNREACHABLE', 'The connection to the task was lost.', {
    advice: 'A manager or the node went away: try again.',
  });
}

function brokenOff(
  { taskName, nodeName }: StreamStarted,
  asked: TaskStreamRequest,
  cause: SwarmError,
): SwarmError {
  const to = taskName === '' ? `node ${nodeName}` : `${taskName} on ${nodeName}`;
  const why = cause.code === 'NOT_LEADER' ? 'Another manager leads now.' : cause.message;
  const message = `The connection to ${to} broke off. ${why}`;
  return new SwarmError('BROKEN_OFF', message, { cause, advice: howToGoOn(asked) });
}

function howToGoOn({ exec, attach, dial }: TaskStreamRequest): string {
  if (exec !== null) return 'The command was hung up: see what it has done, and run it again.';
  if (attach !== null) return 'The task goes on: attach to it again.';
  if (dial !== null) return 'New connections find their way.';
  return 'Only a part may have arrived: begin again.';
}

/** It may begin with the name of a command: its first letter stays as it is. */
function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
