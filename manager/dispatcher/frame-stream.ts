import type { Frame, StreamUp, TaskStreamRequest } from '../../proto/index.ts';
import { Frame as FrameCodec } from '../../proto/index.ts';
import type { SwarmError } from '../../shared/errors.ts';
import type { Duplex } from '../../shared/rpc/rpc.ts';
import type { AgentStream, AgentStreams, StreamListener } from './agent-streams.ts';

/** Frames to and from one task. Its end names the node when that could not be asked. */
export function openFrameStream(
  streams: AgentStreams,
  nodeId: string,
  request: TaskStreamRequest,
): Duplex<Frame, Frame> {
  const frames = new FrameStream();
  frames.stream = streams.open(nodeId, { task: request }, frames);
  return frames;
}

class FrameStream implements Duplex<Frame, Frame>, StreamListener {
  stream: AgentStream | undefined;
  #message: (frame: Frame) => void = () => undefined;
  readonly #closeListeners: ((error: SwarmError | undefined) => void)[] = [];
  #over = false;

  receive(message: StreamUp): void {
    if (message.frame !== null) this.#message(message.frame);
  }
  closed(error: SwarmError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    for (const fn of this.#closeListeners.splice(0)) fn(error);
  }
  get unsentBytes(): number {
    return this.stream?.unsentBytes ?? 0;
  }
  send(frame: Frame): void {
    if (!this.#over) this.stream?.send({ frame });
  }
  sendEncoded(bytes: Uint8Array): void {
    this.send(FrameCodec.decode(bytes));
  }
  onMessage(fn: (frame: Frame) => void): void {
    this.#message = fn;
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#closeListeners.push(fn);
  }
  /** Frames are held back at their ends: nobody waits for this. */
  onDrain(): void {}
  end(): void {
    this.destroy();
  }
  /** The agent hears that nobody listens any more. */
  destroy(error?: SwarmError): void {
    if (this.#over) return;
    this.stream?.close();
    this.closed(error);
  }
}
