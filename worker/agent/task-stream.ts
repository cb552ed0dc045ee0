import { finished } from 'node:stream/promises';
import {
  Channel,
  type ExecRequest,
  type FilesRequest,
  Frame,
  type Init,
  type StreamEnded,
  StreamStarted,
  type TaskStatus,
  type TaskStreamRequest,
  type VolumeRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { type ErrorCode, messageOf, SwarmError } from '../../shared/errors.ts';
import { FramedStream } from '../../shared/rpc/framed-stream.ts';
import type { OutputPiece } from '../logs/output-tap.ts';
import { RuntimeError, type RuntimeErrorCode, type TaskController } from '../runtime.ts';
import { OutputPumps, write } from './output-pump.ts';
import type { Wire } from './streams.ts';
import { serveVolume, type VolumeAccess } from './volume-stream.ts';

/** A task of this node, as those see it who look into it. */
export interface TaskAccess {
  readonly controller: TaskController;
  /** Resolves with its exit code when it has ended; rejects when `signal` aborts. */
  ended(signal: AbortSignal): Promise<number>;
  /** Its output from now on, as it comes, until it has ended. */
  output(signal: AbortSignal): AsyncIterable<OutputPiece>;
}

export interface TaskStreamDeps {
  readonly clock: Clock;
  /** Throws SwarmError for a task that is not this node's, or does not run. */
  /** `ended`: of a task that has ended, too. */
  readonly access: (taskId: string, ended: boolean) => TaskAccess;
  /** Of a task that runs, or ran and is still known; throws SwarmError NOT_FOUND. */
  readonly status: (taskId: string, lastLines: number) => TaskStatus;
  /** Throws SwarmError UNSUPPORTED where no runtime has any. */
  readonly volumes: () => VolumeAccess;
}

/** Serves one stream of frames: says how it began, and how it ended. */
export async function serveTaskStream(
  deps: TaskStreamDeps,
  request: TaskStreamRequest,
  wire: Wire,
): Promise<void> {
  const talk = new Talk(deps, wire);
  try {
    if (request.status !== null) {
      talk.tell(deps.status(request.taskId, request.status.lastLines));
      return;
    }
    if (request.volume !== null) {
      await talk.volume(deps.volumes(), request.volume);
      return;
    }
    const access = deps.access(request.taskId, request.files !== null);
    if (request.exec !== null) await talk.exec(access, request.exec);
    else if (request.attach !== null) await talk.attach(access, request.attach.input);
    else if (request.dial !== null) await talk.dial(access, request.dial.port);
    else if (request.files !== null) await talk.files(access, request.files);
    else throw new SwarmError('UNSUPPORTED', 'This node does not know what is asked for.');
  } catch (error) {
    talk.end(endOf(error));
  } finally {
    talk.close();
  }
}

class Talk {
  readonly #deps: TaskStreamDeps;
  readonly #frames: FramedStream;
  /** Resolves when nobody listens any more. */
  readonly #gone: Promise<'gone'>;
  #onFrame: (frame: Frame) => void = () => undefined;

  constructor(deps: TaskStreamDeps, wire: Wire) {
    this.#deps = deps;
    this.#frames = new FramedStream({
      send: (frame) => wire.send({ frame }),
      incoming: [Channel.INPUT],
      onViolation: (error) => wire.send({ end: true, error: error.message }),
    });
    this.#gone = new Promise((resolve) => {
      const gone = (): void => {
        this.#frames.close(new SwarmError('UNREACHABLE', 'Nobody listens any more.'));
        resolve('gone');
      };
      if (wire.signal.aborted) gone();
      else wire.signal.addEventListener('abort', gone, { once: true });
    });
    wire.onFrame((frame) => {
      this.#frames.take(frame);
      this.#onFrame(frame);
    });
  }
  end(ended: Init<StreamEnded>): void {
    this.#frames.send(Frame.create({ ended }));
  }
  close(): void {
    this.#frames.close();
  }
  tell(status: TaskStatus): void {
    this.#frames.send(
      Frame.create({ started: StreamStarted.with(StreamStarted.create(), { status }) }),
    );
    this.end({});
  }

  async exec({ controller }: TaskAccess, request: ExecRequest): Promise<void> {
    const session = await controller.exec(request);
    const { pid, stdin, stdout, stderr } = session;
    const terminal = request.terminal !== null;
    const input = stdin !== undefined;
    this.#frames.send(Frame.create({ started: { pid, terminal, input } }));
    if (request.detach) {
      this.end({});
      return;
    }
    const pumps = new OutputPumps(this.#deps.clock);
    if (stdout !== undefined) pumps.add(stdout, this.#frames.writer(Channel.OUTPUT));
    if (stderr !== undefined) pumps.add(stderr, this.#frames.writer(Channel.ERRORS));
    if (stdin !== undefined) {
      // A terminal has no end of input: who types there says it in its own way.
      this.#frames.reader(Channel.INPUT).pipe(stdin, { end: !terminal });
    }
    const detached = this.#untilDetached((frame) => {
      if (frame.size !== null) session.resize(frame.size);
    });
    const how = await Promise.race([session.exit, this.#gone, detached]);
    if (how === 'detached') {
      session.release();
      this.end({});
      return;
    }
    if (how !== 'gone') {
      await Promise.race([pumps.settled(), this.#gone]);
      this.end({ code: how });
    }
    await session.close();
  }

  async attach(access: TaskAccess, wantsInput: boolean): Promise<void> {
    const session = await access.controller.attach();
    const { terminal, stdin } = session;
    const stop = new AbortController();
    const input = wantsInput && stdin !== undefined;
    this.#frames.send(Frame.create({ started: { terminal, input } }));
    if (input) this.#frames.reader(Channel.INPUT).pipe(stdin, { end: false });
    const detached = this.#untilDetached((frame) => {
      if (frame.size !== null) session.resize(frame.size);
      if (frame.signal !== '') void session.signal(frame.signal).catch(() => undefined);
    });
    const output = this.#copyOutput(access.output(stop.signal));
    try {
      const how = await Promise.race([access.ended(stop.signal), this.#gone, detached]);
      if (typeof how === 'number') {
        // What it wrote last is in its log by now.
        await Promise.race([output, this.#gone]);
        this.end({ code: how });
      } else this.end({});
    } finally {
      stop.abort();
      session.close();
    }
  }

  async dial({ controller }: TaskAccess, port: number): Promise<void> {
    const socket = await controller.dial(port);
    this.#frames.send(Frame.create({ started: { input: true } }));
    const writer = this.#frames.writer(Channel.OUTPUT);
    this.#frames.reader(Channel.INPUT).pipe(socket);
    socket.pipe(writer);
    try {
      const closed = finished(socket).then(
        () => 'closed' as const,
        (error) => messageOf(error),
      );
      const how = await Promise.race([closed, this.#gone]);
      if (how === 'gone') return;
      if (!writer.writableFinished) writer.end();
      await Promise.race([finished(writer).catch(() => undefined), this.#gone]);
      this.end(how === 'closed' ? {} : { error: how, errorCode: 'UNREACHABLE' });
    } finally {
      socket.destroy();
    }
  }

  async files({ controller }: TaskAccess, request: FilesRequest): Promise<void> {
    const session = await controller.files(request);
    const { file = null, stdin, stdout, done } = session;
    this.#frames.send(Frame.create({ started: { file, input: stdin !== undefined } }));
    if (stdin !== undefined) this.#frames.reader(Channel.INPUT).pipe(stdin);
    const pumps = new OutputPumps(this.#deps.clock);
    if (stdout !== undefined) pumps.add(stdout, this.#frames.writer(Channel.OUTPUT));
    try {
      const whole = Promise.all([done, pumps.settled()]);
      if ((await Promise.race([whole, this.#gone])) !== 'gone') this.end({});
    } finally {
      session.close();
    }
  }

  async volume(access: VolumeAccess, request: VolumeRequest): Promise<void> {
    const talk = { clock: this.#deps.clock, frames: this.#frames, gone: this.#gone };
    await serveVolume(talk, access, request);
    this.end({});
  }

  #untilDetached(other: (frame: Frame) => void): Promise<'detached'> {
    return new Promise((resolve) => {
      this.#onFrame = (frame) => {
        if (frame.detach) resolve('detached');
        else other(frame);
      };
    });
  }
  async #copyOutput(pieces: AsyncIterable<OutputPiece>): Promise<void> {
    try {
      for await (const { stderr, bytes } of pieces) {
        await write(this.#frames.writer(stderr ? Channel.ERRORS : Channel.OUTPUT), bytes);
      }
    } catch {
      // Nobody listens any more.
    }
  }
}

/** Docker's exit codes for commands that never began; what else fails is told by its code. */
function endOf(error: unknown): Init<StreamEnded> {
  const text = messageOf(error);
  if (SwarmError.is(error)) return { error: text, errorCode: error.code };
  if (!(error instanceof RuntimeError)) return { error: text, errorCode: 'RUNTIME' };
  const code = EXIT_CODES[error.code];
  if (code !== undefined) return { code, error: text };
  return { error: text, errorCode: ERROR_CODES[error.code] ?? 'RUNTIME' };
}

const EXIT_CODES: { readonly [code in RuntimeErrorCode]?: number } = {
  COMMAND_NOT_FOUND: 127,
  NOT_EXECUTABLE: 126,
  WORKDIR_NOT_FOUND: 126,
  USER_UNKNOWN: 126,
};
const ERROR_CODES: { readonly [code in RuntimeErrorCode]?: ErrorCode } = {
  NOT_RUNNING: 'PRECONDITION',
  REFUSED: 'UNREACHABLE',
  INVALID_SPEC: 'INVALID_ARGUMENT',
  NOT_ALLOWED: 'FORBIDDEN',
  VOLUME_NOT_FOUND: 'NOT_FOUND',
  UNSUPPORTED: 'UNSUPPORTED',
};
