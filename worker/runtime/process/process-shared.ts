import type { Clock } from '../../../shared/clock.ts';
import type { Random } from '../../../shared/random.ts';
import type { InsideCommand } from '../../inside/dialer.ts';
import type { Io } from '../../io.ts';
import type { GenericUnits } from '../generic-units.ts';
import type { Cgroups } from './cgroups.ts';
import type { PlanDeps } from './plan.ts';
import type { Ports } from './ports.ts';
import type { RunDirectory } from './run-directory.ts';
import type { Sweeper } from './sweep.ts';

/** What all tasks of one runtime share. */
export interface ProcessShared {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  /** Names this node's state directory: of several daemons on a machine each ends only its own. */
  readonly place: string;
  readonly boot: string;
  readonly run: RunDirectory;
  readonly ports: Ports;
  readonly units: GenericUnits;
  readonly cgroups: Cgroups;
  readonly sweeper: Sweeper;
  readonly plan: PlanDeps;
  /** The helper that works in a task's files. */
  readonly inside: InsideCommand;
  readonly script: string;
  /** Command that makes the supervisor process 1 of a pid namespace; undefined: it can't be here. */
  readonly pidNamespace: readonly string[] | undefined;
  readonly publishHost: string;
  readonly logDirectory: (taskId: string) => string;
}
