import type { SnapshotChunk } from '../../../proto/index.ts';
import { type Clock, delay } from '../../../shared/clock.ts';

/** Less than this is not worth a timer. */
const SLACK_MS = 5;

/** The same chunks, on average at most `bytesPerSecond`. */
export async function* paced(
  chunks: AsyncIterable<SnapshotChunk>,
  bytesPerSecond: number,
  clock: Clock,
): AsyncGenerator<SnapshotChunk, void> {
  const startMs = clock.monotonicMs();
  let bytes = 0;
  for await (const chunk of chunks) {
    yield chunk;
    for (const value of chunk.values) bytes += value.length;
    const aheadMs = (1_000 * bytes) / bytesPerSecond - (clock.monotonicMs() - startMs);
    if (aheadMs > SLACK_MS) await delay(clock, aheadMs);
  }
}
