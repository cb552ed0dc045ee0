import type { MemberChange } from '../../manager/raft/index.ts';
import { quorumProblem } from '../../manager/raft/index.ts';
import { Member, RemovedMember, Role } from '../../proto/index.ts';
import type { Random } from '../../shared/random.ts';
import type { Counters } from './counters.ts';
import type { Machine, ManagerProcess } from './machine.ts';
import type { Timeline } from './timeline.ts';

export interface AdminDeps {
  readonly timeline: Timeline;
  readonly counters: Counters;
  readonly random: Random;
  readonly machines: readonly Machine[];
}

const LOOK_EVERY_MS = 150;
const GIVES_UP_MS = 3_000;

/**
 * Keeps every machine a voter, one change at a time: learner first, caught up, then voter; a lost
 * voter goes after its replacement is in. It talks to whoever says that it leads.
 */
export class Admin {
  readonly #deps: AdminDeps;
  #nextRaftId = 100;
  #busyUntilMs = 0;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#deps.timeline.after(LOOK_EVERY_MS, () => {
      this.#look();
      this.start();
    });
  }

  newRaftId(): number {
    return this.#nextRaftId++;
  }

  leader(): ManagerProcess | undefined {
    let best: ManagerProcess | undefined;
    for (const { process } of this.#deps.machines) {
      if (!process?.isReady || process.isDead || !process.driver.isLeader) continue;
      if (!best || process.driver.leaderTerm > best.driver.leaderTerm) best = process;
    }
    return best;
  }

  /** Takes a machine's member out of the cluster; it comes back under another raft id. */
  remove(machine: Machine): void {
    const leader = this.leader();
    const isVoter = leader?.driver.confState().voters.includes(machine.raftId);
    if (leader && isVoter && this.#removable(leader, machine.raftId)) {
      this.#deps.counters.count('member removed');
      this.#change(leader, { kind: 'remove', peer: peer(machine, machine.raftId) });
    }
  }

  #look(): void {
    for (const machine of this.#deps.machines) if (machine.needsNewId) this.#renew(machine);
    const leader = this.leader();
    if (!leader || this.#deps.timeline.nowMs < this.#busyUntilMs) return;
    const change = this.#next(leader);
    if (change) this.#change(leader, change);
  }

  #next(leader: ManagerProcess): MemberChange | undefined {
    const { voters, learners } = leader.driver.confState();
    const { machines } = this.#deps;
    for (const machine of machines) {
      if (!learners.includes(machine.raftId)) continue;
      const progress = leader.driver.progress(machine.raftId);
      if (!progress?.replicates || progress.match < progress.lastIndex - 20) continue;
      return { kind: 'add-voter', peer: peer(machine, machine.raftId) };
    }
    const ids = new Set(machines.map((machine) => machine.raftId));
    const stale = [...learners, ...voters].filter((id) => !ids.has(id));
    const isReplaced = voters.length >= machines.length || learners.some((id) => !ids.has(id));
    const lost = stale.find((id) => this.#removable(leader, id));
    if (lost !== undefined && (isReplaced || voters.length > 2)) {
      return { kind: 'remove', peer: { raftId: lost, nodeId: '', address: '' } };
    }
    for (const machine of machines) {
      const isMember = voters.includes(machine.raftId) || learners.includes(machine.raftId);
      if (machine.isUp && !isMember && !machine.needsNewId)
        return { kind: 'add-learner', peer: peer(machine, machine.raftId) };
    }
    return undefined;
  }

  #removable(leader: ManagerProcess, raftId: number): boolean {
    const after = leader.driver.confState().voters.filter((id) => id !== raftId);
    const isActive = (id: number): boolean => leader.driver.progress(id)?.isActive ?? false;
    return raftId !== leader.raftId && quorumProblem(after, isActive) === undefined;
  }

  #change(leader: ManagerProcess, change: MemberChange): void {
    const { timeline, counters } = this.#deps;
    this.#busyUntilMs = timeline.nowMs + GIVES_UP_MS;
    const over = (name: string) => (): void => {
      counters.count(name);
      this.#busyUntilMs = 0;
    };
    const expected = leader.driver.confState();
    const row = this.#writeRow(leader, change, 'add-learner');
    row
      .then(() => leader.driver.proposeConfChange(change, expected))
      .then(() => this.#writeRow(leader, change, 'remove'))
      .then(over(`members changed: ${change.kind}`), over('change of members failed'));
  }

  /** Rows tell those who come later, by a snapshot, where everybody is. */
  #writeRow(
    leader: ManagerProcess,
    { kind, peer }: MemberChange,
    only: MemberChange['kind'],
  ): Promise<void> {
    if (kind !== only) return Promise.resolve();
    const { raftId, nodeId: id, address } = peer;
    return leader.store.update(
      (draft) => {
        if (kind === 'add-learner')
          draft.put('member', Member.create({ id, raftId, address, role: Role.MANAGER }));
        if (kind === 'remove')
          draft.put('removedMember', RemovedMember.create({ id: String(raftId), nodeId: id }));
      },
      { writer: 'roles' },
    );
  }

  /** A raft id is never used again: the machine begins anew, empty. */
  #renew(machine: Machine): void {
    machine.needsNewId = false;
    machine.crash();
    const peers = this.#deps.machines
      .filter((other) => other !== machine && other.raftId !== 0)
      .map((other) => peer(other, other.raftId));
    const raftId = this.newRaftId();
    this.#deps.counters.count('machine began anew');
    machine.create(raftId, peers).then(
      () => machine.start(),
      () => {
        machine.needsNewId = true;
      },
    );
  }
}

function peer(machine: Machine, raftId: number) {
  return { raftId, nodeId: machine.nodeId, address: machine.address };
}
