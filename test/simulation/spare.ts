import { majority } from '../../manager/raft/index.ts';

/** What raft can do without. Beyond that it promises nothing, so a simulation must not ask for it. */
export interface Group {
  /** The voters of every configuration that may be in force. */
  readonly electorates: readonly (readonly number[])[];
  /** Raft ids of machines whose disks nobody has spoilt. */
  readonly sound: ReadonlySet<number>;
}

/**
 * Whether a member's state may be lost. `joined`: who may have a vote before long. It is worst when
 * only those of them get it that are lost: a change of members may be on its way already.
 */
export function canLose(group: Group, raftId: number, joined: readonly number[]): boolean {
  const left = new Set(group.sound);
  left.delete(raftId);
  const lost = joined.filter((id) => !left.has(id));
  return group.electorates.every((voters) => isQuorum([...new Set([...voters, ...lost])], left));
}

/**
 * Whether a member may be asked to go. Who has just lost a disk still counts as a voter, and nobody
 * may know yet that it is none. The last one may be asked as well: the cluster refuses.
 */
export function canDemote({ electorates, sound }: Group, raftId: number): boolean {
  const rests = electorates.map((voters) => voters.filter((id) => id !== raftId));
  return rests.every((rest) => rest.length === 0 || isQuorum(rest, sound));
}

/** Whether these are enough of the voters. */
export function isQuorum(voters: readonly number[], sound: ReadonlySet<number>): boolean {
  return voters.filter((id) => sound.has(id)).length >= majority(voters.length);
}
