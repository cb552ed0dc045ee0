import { type Reason, reason } from '../reason.ts';
import { NO_IMAGE_RUNTIME } from './filters.ts';

/** What the filters said, counted, as one reason. */
export function summarize(verdicts: Iterable<string>): Reason {
  const counts = new Map<string, number>();
  let total = 0;
  for (const verdict of verdicts) {
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
    total++;
  }
  if (total === 0) return reason('no-node', 'no node is there');
  if (counts.get(NO_IMAGE_RUNTIME) === total)
    return reason('no-runtime', 'no node has a runtime for images');
  const parts = [...counts]
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    .map(([verdict, count]) => `${count} ${count === 1 ? 'node' : 'nodes'}: ${verdict}`);
  const text = `no suitable node (${parts.join('; ')})`;
  return reason(isNoRuntime(counts) ? 'no-runtime' : 'no-suitable-node', text);
}

/** Every node that could take a task lacks the runtime. */
function isNoRuntime(counts: ReadonlyMap<string, number>): boolean {
  if (!counts.has(NO_IMAGE_RUNTIME)) return false;
  return [...counts.keys()].every((v) => v === NO_IMAGE_RUNTIME || UNAVAILABLE.has(v));
}

const UNAVAILABLE: ReadonlySet<string> = new Set([
  'gone',
  'being removed',
  'silent',
  'restarting',
  'shutting down',
  'never connected',
  'down',
  'drained',
  'paused',
]);
