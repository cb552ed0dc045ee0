import type { Log } from '../../../shared/log.ts';
import type { Counters } from './counters.ts';

/** Said at `error` where a fault of the disk, or a removal, is the reason. */
const EXPECTED = new Set([
  'a write to the state database failed: no more are made',
  'the raft part must stop',
  'the state of this manager cannot be used',
  'the state of this manager is damaged: it joins anew',
  'a stored row was damaged: it is written anew',
]);

/**
 * What production code logs says which of its rare branches it took. An error that is no answer to a
 * fault is a finding: somebody caught an exception that should not have been thrown.
 */
export function watchedLog(counters: Counters, fail: (what: string) => void): Log {
  const count = (fields: object, message: string): void => {
    counters.count(`log: ${message}`);
    counters.trace?.(`  ${JSON.stringify(fields)}`);
  };
  const log: Log = {
    debug: () => undefined,
    info: count,
    warn: count,
    error: (fields, message) => {
      count(fields, message);
      if (!EXPECTED.has(message)) fail(`logged as an error: ${message} ${reasonOf(fields)}`);
    },
    child: () => log,
  };
  return log;
}

function reasonOf(fields: object): string {
  const { err, reason } = fields as { readonly err?: unknown; readonly reason?: unknown };
  return err instanceof Error ? (err.stack ?? err.message) : String(reason ?? '');
}
