import { isVoter } from '../../../manager/raft/index.ts';
import { Node, Role } from '../../../proto/index.ts';
import type { Group } from '../spare.ts';
import { nodeIdOf } from './founding.ts';
import type { Machine, World } from './machine.ts';
import type { ManagerProcess } from './manager-process.ts';

const LOOK_EVERY_MS = 500;

/**
 * The user who decides which nodes are managers. Wishes alone: the cluster's own roles/ promotes and
 * demotes, one step at a time, and a machine that lost its state joins anew by itself.
 */
export class Managers {
  readonly machines: readonly Machine[];
  readonly #world: World;
  readonly #unwanted = new Set<Machine>();
  /** Nodes whose demotion the leader was asked for and has not answered. */
  readonly #demoting = new Set<string>();

  constructor(world: World, machines: readonly Machine[]) {
    this.#world = world;
    this.machines = machines;
  }

  start(): void {
    this.#world.timeline.after(LOOK_EVERY_MS, () => {
      this.#wish();
      this.start();
    });
  }

  /** Whoever leads in the highest term, as far as itself knows. */
  leader(): ManagerProcess | undefined {
    let best: ManagerProcess | undefined;
    for (const { process } of this.machines) {
      if (!process?.isReady || process.isDead || !process.driver.isLeader) continue;
      if (!best || process.driver.leaderTerm > best.driver.leaderTerm) best = process;
    }
    return best;
  }

  demote(machine: Machine): void {
    this.#unwanted.add(machine);
  }
  /** Everybody is to be a manager again. */
  wantAll(): void {
    this.#unwanted.clear();
  }
  want(machine: Machine): void {
    this.#unwanted.delete(machine);
  }
  /** Who may elect, by what anybody has applied, and whose disks nobody has spoilt. */
  get group(): Group {
    const applied = this.machines.flatMap((m) => (m.isUp ? [m.process!.confState.voters] : []));
    const electorates = [...applied, this.#world.checker.history.config.voters];
    const sound = this.machines.filter((m) => !m.isSpoilt).map((m) => m.raftId);
    return { electorates, sound: new Set(sound) };
  }
  /** Somebody is to go out and may still vote: the quorum may be another any moment. */
  get isShrinking(): boolean {
    const config = this.#world.checker.history.config;
    return this.machines.some(
      (machine) => isVoter(config, machine.raftId) && this.#mayGoOut(machine),
    );
  }
  /** By a wish, or by one that was taken back after the cluster had heard of it. */
  #mayGoOut(machine: Machine): boolean {
    if (this.#unwanted.has(machine) || this.#demoting.has(machine.nodeId)) return true;
    return this.machines.some(({ isUp, process }) => {
      if (!isUp) return false;
      const { view } = process!.store;
      const phase = view.table('member').get(machine.nodeId)?.phase;
      return view.table('node').get(machine.nodeId)?.role === Role.WORKER || phase === 'leaving';
    });
  }

  /**
   * Everybody up, a voter, and as far as the leader. Everybody knows so: who has not applied the
   * newest change of members elects under the one before it.
   */
  isWhole(): boolean {
    const leader = this.leader();
    if (!leader) return false;
    const ids = this.machines.map(({ raftId }) => raftId);
    return this.machines.every(({ isUp, process }) => {
      if (!isUp) return false;
      const { confState, appliedIndex } = process!;
      const { voters, learners } = confState;
      const isFull = voters.length === ids.length && ids.every((id) => voters.includes(id));
      return isFull && learners.length === 0 && appliedIndex >= leader.appliedIndex - 5;
    });
  }

  /** Puts the wishes into the rows of the nodes, and notes who has healed. */
  #wish(): void {
    const leader = this.leader();
    if (!leader) return;
    for (const machine of this.machines) {
      const isVoting = leader.confState.voters.includes(machine.raftId);
      if (machine.isHealing && isVoting) {
        machine.isHealing = false;
        this.#world.counters.count('damaged and healed');
      }
      const role = this.#unwanted.has(machine) ? Role.WORKER : Role.MANAGER;
      const node = leader.store.view.table('node').get(machine.nodeId);
      if (!node) this.#joinAgain(machine);
      else if (node.role !== role) this.#setRole(leader, machine.nodeId, role);
    }
  }

  /** A node that a restored backup does not know joins as the one that it was at first. */
  #joinAgain(machine: Machine): void {
    if (machine.raftId !== 0 || machine.isLocked) return;
    machine.nodeId = nodeIdOf(machine.number);
    machine.crash();
    machine.start();
  }

  #setRole(leader: ManagerProcess, nodeId: string, role: Role): void {
    const { counters, checker } = this.#world;
    if (role === Role.WORKER) this.#demoting.add(nodeId);
    leader.store
      .update(
        (draft) => {
          const node = draft.table('node').get(nodeId);
          if (node) draft.put('node', Node.with(node, { role }));
        },
        { writer: 'users' },
      )
      .then(
        () => counters.count(role === Role.WORKER ? 'node demoted' : 'node promoted'),
        (error: unknown) => leader.isDead || checker.refused(leader, error),
      )
      .finally(() => this.#demoting.delete(nodeId));
  }
}
