/** A DNS message on a stream: its length in two bytes, then the message. */
export function framed(message: Buffer): Buffer {
  const out = Buffer.allocUnsafe(2 + message.length);
  out.writeUInt16BE(message.length, 0);
  message.copy(out, 2);
  return out;
}

/** Cuts a stream into messages; never holds more than the largest one. */
export class TcpMessages {
  readonly #onMessage: (message: Buffer) => void;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }
  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 2) {
      const end = 2 + this.#bytes.readUInt16BE(0);
      if (this.#bytes.length < end) return;
      const message = this.#bytes.subarray(2, end);
      this.#bytes = this.#bytes.subarray(end);
      this.#onMessage(message);
    }
  }
}
