import type { Clock } from '../shared/clock.ts';
import type { IdSource } from '../shared/ids.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';

/** The real clock, randomness and ids, named in the mains alone. */
export interface DaemonDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: IdSource;
  readonly log: Log;
  /** Ends this process. */
  exit(code: number): void;
}
