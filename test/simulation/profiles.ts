import { LIMITS } from '../../shared/limits.ts';

/**
 * What a run is tilted towards, so that a situation that a mixture of everything seldom reaches is a
 * common one. The cluster, its seeds and its checks stay the same.
 */
export interface Profile {
  /** These strike, and no others. */
  readonly faults: readonly string[];
  readonly meanMs: number;
  readonly limits: Partial<Record<keyof typeof LIMITS, number>>;
  /** Clients beside the others that do nothing but read. */
  readonly readers: number;
  /** What the leader has to endure at the end, instead of what the seed draws. */
  readonly trial?: string;
  /** Instead of as many as the seed draws. */
  readonly machines?: number;
  /** That write and read; the fewer there are, the longer a run takes. */
  readonly clients?: number;
}

const ELECTIONS = ['leader crash', 'leader cut off', 'leader pause', 'partition in two', 'crash'];
const MEMBERS = ['node demoted', 'leader demoted', 'transfer of leadership', 'wiped machine'];

/** By the name that `--profile` takes. */
export const PROFILES: { readonly [name: string]: Profile } = {
  /** Every entry travels alone, and leaders change faster than they can hand theirs over. */
  'small messages': {
    faults: [...ELECTIONS, 'power cut', 'slow disk', 'leader cut off one way'],
    meanMs: 500,
    limits: { raftMessageBytesMax: 1 },
    readers: 0,
  },
  readers: {
    faults: [...ELECTIONS, 'leader cut off one way', 'link cut', 'slow machine'],
    meanMs: 1_500,
    limits: {},
    readers: 6,
  },
  /**
   * Leaders come and go, heard by one machine alone, and those that the others have elected meanwhile
   * bring back what it had before (paper, figure 8); its disk has not even written the first of it.
   */
  'short reigns': {
    faults: ['two short reigns'],
    meanMs: 9_000,
    limits: {
      raftCompactEveryEntries: 500,
      raftLogKeepEntries: 200,
      raftLogHardMaxEntries: 2_000,
    },
    readers: 0,
    machines: 5,
    clients: 1,
  },
  members: {
    faults: [...ELECTIONS, ...MEMBERS, ...MEMBERS, 'slow disk', 'slow machine', 'slow machine'],
    meanMs: 600,
    limits: {},
    readers: 0,
  },
  transfers: {
    faults: [...ELECTIONS, 'transfer of leadership', 'leader demoted'],
    meanMs: 1_500,
    limits: {},
    readers: 0,
    trial: 'the next leader dies while it takes over',
  },
  recoveries: {
    faults: ['cluster recovered', 'cluster restored', 'backup taken', ...ELECTIONS],
    meanMs: 1_500,
    limits: {},
    readers: 0,
  },
  /** Some managers are of a newer release for a while, and lead by turns with the others. */
  releases: {
    faults: ['rolling change of the release', 'transfer of leadership', 'leader crash'],
    meanMs: 800,
    limits: {},
    readers: 0,
    machines: 3,
  },
  /** Who was cut off still believes to lead, and agents come back to it from its successor. */
  'two leaders': {
    faults: ['leader cut off', 'leader cut off', 'connections reset', 'agent killed', 'link cut'],
    meanMs: 500,
    limits: {},
    readers: 0,
  },
  'a small window': {
    faults: ['link cut', 'machine cut off one way', 'pause'],
    meanMs: 1_500,
    limits: { raftInflightMessagesMax: 1 },
    readers: 0,
  },
  /** What grows old: disks rot under running processes, agents stop or are cut off, queues are short. */
  'wear and tear': {
    faults: [
      ...ELECTIONS,
      ...['bit flip while it runs', 'agent pause', 'agent cut off', 'agent killed', 'link cut'],
      ...['power of an agent lost', 'node demoted', 'failing disk', 'connections reset'],
      ...['crash at a step of the disk', 'fault at a rare moment'],
    ],
    meanMs: 1_000,
    limits: {
      raftPeerQueueBytesMax: 20_000,
      raftPeerQueueMessagesMax: 16,
      raftMessageBytesMax: 1_000,
      raftInflightBytesMax: 3_000,
    },
    readers: 0,
  },
  /** The log is so short that whoever was away for a moment needs a snapshot, and another one. */
  snapshots: {
    faults: [...ELECTIONS, 'link cut', 'machine cut off', 'slow disk', 'slow disk', 'pause'],
    meanMs: 400,
    limits: {
      raftCompactEveryEntries: 6,
      raftLogKeepEntries: 2,
      raftLogHardMaxEntries: 12,
      // What a slow line takes longer for than the log lasts would never end.
      snapshotBytesPerSecondMax: LIMITS.snapshotBytesPerSecondMax,
    },
    readers: 0,
  },
};
