import { openSync, write, writeSync } from 'node:fs';

/** Bytes that wait for the disk; what comes beyond them is lost. */
const HELD_BYTES_MAX = 1 << 20;

/** Lines written behind: a disk that hangs or is full costs lines, and never ends or holds the daemon. */
export class LogFile {
  readonly #fd: number;
  #held: string[] = [];
  #heldBytes = 0;
  #writing = false;

  constructor(path: string) {
    this.#fd = openSync(path, 'a', 0o600);
    process.on('exit', () => this.#last());
  }
  write(line: string): void {
    if (this.#heldBytes + line.length > HELD_BYTES_MAX) return;
    this.#held.push(line);
    this.#heldBytes += line.length;
    if (this.#held.length === 1 && !this.#writing) setImmediate(() => this.#next());
  }
  #next(): void {
    const text = this.#take();
    if (text === '' || this.#writing) return;
    this.#writing = true;
    write(this.#fd, text, () => {
      this.#writing = false;
      this.#next();
    });
  }
  #take(): string {
    const text = this.#writing ? '' : this.#held.join('');
    if (text !== '') {
      this.#held = [];
      this.#heldBytes = 0;
    }
    return text;
  }
  /** The process ends: why it does may be among what is held. */
  #last(): void {
    try {
      writeSync(this.#fd, this.#held.join(''));
    } catch {
      // The disk is full: there is no other place for it.
    }
  }
}
