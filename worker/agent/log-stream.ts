import type { LogRecord } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Wire } from './streams.ts';

const BATCH_BYTES_MAX = 64 << 10;

/** Tells records to who asked. A slow reader there holds the reading of the file up, nothing else. */
export async function serveLogs(records: AsyncIterable<LogRecord>, wire: Wire): Promise<void> {
  for await (const batch of inBatches(records)) {
    if (wire.signal.aborted) return;
    wire.send({ records: batch });
    await wire.sent();
  }
}

/** Gathers what is there already; a record that comes alone goes alone. */
async function* inBatches(records: AsyncIterable<LogRecord>): AsyncIterable<LogRecord[]> {
  const source = records[Symbol.asyncIterator]();
  let next = source.next();
  for (;;) {
    const first = await next;
    if (first.done) return;
    const batch = [first.value];
    let bytes = first.value.line.length;
    next = source.next();
    while (batch.length < LIMITS.logBatchRecordsMax && bytes < BATCH_BYTES_MAX) {
      const more = await Promise.race([next, soon()]);
      if (more === undefined || more.done) break;
      batch.push(more.value);
      bytes += more.value.line.length;
      next = source.next();
    }
    yield batch;
  }
}

function soon(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(resolve, undefined));
}
