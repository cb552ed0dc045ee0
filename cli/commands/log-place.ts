import { type LogRecord, LogRequest, LogsRequest } from '../../proto/index.ts';

/** Records of one task may come this much later than those of another that are older. */
const SKEW_MS = 60_000;

/** How far somebody has read in the logs of several tasks, so that the reading can begin anew there. */
export class LogPlace {
  readonly #first: LogsRequest;
  readonly #last = new Map<string, LogRecord>();
  /** The last before the stream was cut off. */
  #seen: ReadonlyMap<string, LogRecord> = new Map();
  #newestMs = 0;
  /** Of records that were asked for at all, where only the last lines were. */
  #sinceMs: number;

  constructor(request: LogsRequest) {
    this.#first = request;
    this.#sinceMs = request.options?.sinceWallMs ?? 0;
  }

  /** The stream was cut off: the next one may begin with what was seen. */
  cut(): void {
    this.#seen = new Map(this.#last);
  }

  /** What to ask for now. */
  get request(): LogsRequest {
    const options = this.#first.options ?? LogRequest.create();
    if (this.#newestMs === 0) return this.#first;
    const sinceWallMs = Math.max(this.#sinceMs, this.#newestMs - SKEW_MS);
    const resumed = LogRequest.with(options, { tail: 0, sinceWallMs });
    return LogsRequest.with(this.#first, { options: resumed });
  }

  /** False for what was seen already. */
  isNew(record: LogRecord): boolean {
    const seen = this.#seen.get(record.taskId);
    if (seen !== undefined && !isAfter(record, seen)) return false;
    const tail = this.#first.options?.tail ?? 0;
    if (this.#newestMs === 0 && tail !== 0)
      this.#sinceMs = Math.max(this.#sinceMs, record.atWallMs);
    this.#last.set(record.taskId, record);
    this.#newestMs = Math.max(this.#newestMs, record.atWallMs);
    return true;
  }
}

function isAfter(record: LogRecord, last: LogRecord): boolean {
  return (record.atWallMs - last.atWallMs || record.atNanos - last.atNanos) > 0;
}
