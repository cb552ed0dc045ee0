import { FAULT_NAMES } from './faults.ts';

/** Faults that did something, and branches that are rarely taken: each is to be seen in a batch. */
export const RARE: readonly string[] = [
  ...FAULT_NAMES.map((name) => `fault: ${name}`),
  'message dropped',
  'message doubled',
  'message overtaken',
  'message met a cut link',
  'crash lost unsynced writes',
  'file torn',
  'fsync failed',
  'disk full at a write',
  'write hung',
  'disk spoilt',
  'opening refused: DAMAGED',
  'damaged and healed',
  'machine joined',
  'node demoted',
  'node promoted',
  'process ended: removed',
  'snapshot installed',
  'log: sending a snapshot failed',
  'log: this process stood still',
  'log: the disk does not answer',
  'log truncated',
  'leader elected',
  'leader changed with a group in flight',
  'leadership transferred',
  'transfer failed',
  'read refused',
  'read served by a follower',
  'retry answered',
  'update rejected: MAYBE_DONE',
  'update rejected: NOT_LEADER',
  'update rejected: VERSION_CONFLICT',
  'backup taken',
  'cluster recovered',
  'cluster restored',
  'old member comes back',
  'event cursor expired',
  'majority alone',
  'history judged',
];
/** Seen at least this often in the seeds of `npm test`, or the simulator has lost its teeth. */
export const TIMES_MIN = 10;
/** Printed beside them: branches that so few seeds take too seldom to be asked for. */
export const SELDOM: readonly string[] = [
  'log: receiving a snapshot goes on',
  'update rejected: READ_ONLY',
];
