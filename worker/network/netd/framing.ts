import { LIMITS } from '../../../shared/limits.ts';

/** A message as it travels between swarmd and netd: its length in four bytes, then the protobuf. */
export function frame(message: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(4 + message.length);
  out.writeUInt32BE(message.length, 0);
  out.set(message, 4);
  return out;
}

/** Cuts a byte stream into messages; throws when one is longer than the limit. */
export class FrameReader {
  readonly #onMessage: (message: Uint8Array) => void;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(onMessage: (message: Uint8Array) => void) {
    this.#onMessage = onMessage;
  }
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    for (;;) {
      const bytes = this.#nextLength();
      if (bytes === undefined || this.#length < 4 + bytes) return;
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      const rest = all.subarray(4 + bytes);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      this.#onMessage(all.subarray(4, 4 + bytes));
    }
  }
  #nextLength(): number | undefined {
    if (this.#length < 4) return undefined;
    if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)];
    const bytes = this.#chunks[0]!.readUInt32BE(0);
    if (bytes > LIMITS.netdFrameBytesMax)
      throw new RangeError(`a message of ${bytes} bytes is over ${LIMITS.netdFrameBytesMax}`);
    return bytes;
  }
}
