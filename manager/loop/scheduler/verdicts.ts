import { type Reason, reason } from '../reason.ts';
import { NO_IMAGE_RUNTIME, type Verdict } from './filters.ts';

/** What the filters said, counted, as one reason. */
export function summarize(verdicts: readonly Verdict[]): Reason {
  if (verdicts.length === 0) return reason('no-node', 'no node is there');
  if (verdicts.every((verdict) => verdict === NO_IMAGE_RUNTIME))
    return reason('no-runtime', 'no node has a runtime for images');
  const counts = new Map<string, number>();
  for (const { text } of verdicts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const parts = [...counts]
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
    .map(([text, count]) => `${count} ${count === 1 ? 'node' : 'nodes'}: ${text}`);
  // Every node that could take a task lacks the runtime.
  const open = verdicts.filter((verdict) => verdict.code !== 'availability');
  const noRuntime = open.length > 0 && open.every((verdict) => verdict === NO_IMAGE_RUNTIME);
  return reason(
    noRuntime ? 'no-runtime' : 'no-suitable-node',
    `no suitable node (${parts.join('; ')})`,
  );
}
