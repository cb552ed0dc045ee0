import { LogRecord } from '../../proto/index.ts';

/**
 * One line in a segment: `TIME stdout|stderr F|P TEXT`, the form of Kubernetes' container logs. TIME
 * has nanoseconds; ours are milliseconds and an ordinal within them, so that order is kept. P: the
 * line goes on in the next record.
 */
export interface LogStamp {
  readonly wallMs: number;
  /** 0 … 999,999 within the millisecond. */
  readonly nanos: number;
}

/** Gives every record its own time, never going back. */
export class Stamper {
  #lastMs = 0;
  #ordinal = 0;

  next(wallMs: number): LogStamp {
    if (wallMs > this.#lastMs) {
      this.#lastMs = wallMs;
      this.#ordinal = 0;
    } else {
      this.#ordinal++;
      if (this.#ordinal > 999_999) {
        this.#lastMs++;
        this.#ordinal = 0;
      }
    }
    return { wallMs: this.#lastMs, nanos: this.#ordinal };
  }
}

export function formatLine(
  stamp: LogStamp,
  stderr: boolean,
  partial: boolean,
  text: Uint8Array,
): Uint8Array {
  const time = new Date(stamp.wallMs).toISOString().slice(0, -1);
  const nanos = String(stamp.nanos).padStart(6, '0');
  const head = `${time}${nanos}Z ${stderr ? 'stderr' : 'stdout'} ${partial ? 'P' : 'F'} `;
  return Buffer.concat([Buffer.from(head), text, NEWLINE]);
}

const NEWLINE = Buffer.from('\n');
const TIME_LENGTH = '2026-01-01T00:00:00.000000000Z'.length;
const HEAD_LENGTH = TIME_LENGTH + ' stdout F '.length;

/** `line` without its line end. Undefined for what is no such line. */
export function parseLine(taskId: string, nodeId: string, line: Uint8Array): LogRecord | undefined {
  if (line.length < HEAD_LENGTH) return undefined;
  const head = Buffer.from(line.buffer, line.byteOffset, HEAD_LENGTH).toString('latin1');
  const atWallMs = Date.parse(`${head.slice(0, 23)}Z`);
  const [, stream = '', kind = ''] = head.split(' ');
  if (Number.isNaN(atWallMs) || (stream !== 'stdout' && stream !== 'stderr')) return undefined;
  return LogRecord.create({
    taskId,
    nodeId,
    atWallMs,
    atNanos: Number(head.slice(23, 29)),
    stderr: stream === 'stderr',
    partial: kind === 'P',
    line: line.slice(HEAD_LENGTH),
  });
}
