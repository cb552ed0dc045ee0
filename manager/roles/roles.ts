import {
  type JoinRaftRequest,
  type JoinRaftResponse,
  Member,
  RemovedMember,
  Role,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { ConfState, Probe, RaftDriver } from '../raft/index.ts';
import type { LeadershipListener } from '../replication.ts';
import type { AppliedEntry, Draft, Store } from '../store/view.ts';
import { type Action, type Facts, nextSteps, type Wait } from './decide.ts';

/** What is waited for outside the store (a log that catches up) is looked at this often. */
const LOOK_AGAIN_MS = 250;
const RETRY_MS = 1_000;
const TABLES: ReadonlySet<string> = new Set(['node', 'member', 'certificate']);

/** What roles/ needs of the raft driver. */
export type RolesRaft = Pick<
  RaftDriver,
  | 'identity'
  | 'confState'
  | 'progress'
  | 'proposeConfChange'
  | 'transferLeadership'
  | 'leader'
  | 'leaderTerm'
  | 'directory'
>;

export interface RolesDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly raft: RolesRaft;
  readonly probe: Probe;
  /** Of ca/: the role that the node's certificates may carry from now on. */
  readonly setCertificateRole: (nodeId: string, role: Role) => Promise<void>;
}

/**
 * Carries out role wishes on the leader, one step at a time. Nothing is remembered between steps:
 * each is decided anew from the rows and the group (decide.ts), so the next leader goes on where
 * this one stopped.
 */
export class Roles implements LeadershipListener {
  readonly #deps: RolesDeps;
  #term = 0;
  #working: Promise<unknown> = Promise.resolve();
  #isQueued = false;
  #timer: Timer | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(deps: RolesDeps) {
    this.#deps = deps;
  }

  gained(term: number): void {
    this.#term = term;
    this.#unsubscribe = this.#deps.store.onApplied((entry) => this.#noteApplied(entry));
    this.#kick();
  }
  lost(): void {
    this.#term = 0;
    this.#timer?.cancel();
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  /**
   * Serves `Raft.JoinRaft`: a promoted node comes with an empty log and a raft id of its own, and
   * becomes a learner. Safe to repeat. Also how a member tells that its address changed.
   */
  join(request: JoinRaftRequest, context: CallContext): Promise<JoinRaftResponse> {
    return this.#exclusive(() => this.#join(request, context));
  }

  async #join(request: JoinRaftRequest, context: CallContext): Promise<JoinRaftResponse> {
    const { raft, store } = this.#deps;
    if (raft.leaderTerm === 0) throw notLeader(raft.leader()?.address ?? '');
    const { nodeId, raftId, address } = request;
    if (context.peer.kind !== 'node' || context.peer.nodeId !== nodeId) {
      throw new SwarmError('FORBIDDEN', 'a node can join as a manager only for itself');
    }
    if (raftId === 0 || address === '') {
      throw new SwarmError('INVALID_ARGUMENT', 'a raft id and an address are needed');
    }
    checkEpoch(request.epoch, raft.identity.epoch);
    if (request.damage !== '') await this.#write((draft) => noteDamage(draft, request));
    if ((await this.#deps.probe(address)) !== 'open') {
      const text = `the leader cannot reach this node at ${address}`;
      throw new SwarmError('UNREACHABLE', text, { advice: 'Give another --advertise-addr.' });
    }
    const before = store.view.table('member').get(nodeId);
    await store.update((draft) => admit(draft, request), { writer: 'roles' });
    const peer = { raftId, nodeId, address };
    const isOld = before?.raftId === raftId;
    if (!isOld || before.phase === 'learner') {
      await raft.proposeConfChange({ kind: this.#isIn(raftId) ? 'update' : 'add-learner', peer });
    } else if (before.address !== address) {
      await raft.proposeConfChange({ kind: 'update', peer });
    }
    const { clusterId, epoch } = raft.identity;
    return { raftId, clusterId, epoch, peers: this.#peers() };
  }

  #isIn(raftId: number): boolean {
    const { voters, learners } = this.#deps.raft.confState();
    return voters.includes(raftId) || learners.includes(raftId);
  }

  #peers(): JoinRaftResponse['peers'] {
    const { raft, store } = this.#deps;
    const members = [...store.view.table('member').all()].filter((m) => this.#isIn(m.raftId));
    if (members.length === 0) return [...raft.directory.all()];
    return members.map((m) => ({ raftId: m.raftId, nodeId: m.id, address: m.address }));
  }

  // -- the reconciler

  #noteApplied(entry: AppliedEntry): void {
    if (entry.changes.some((change) => TABLES.has(change.table))) this.#kick();
  }

  #kick(): void {
    if (this.#isQueued || this.#term === 0) return;
    this.#isQueued = true;
    this.#timer?.cancel();
    void this.#exclusive(async () => {
      this.#isQueued = false;
      await this.#work(this.#term);
    });
  }

  async #work(term: number): Promise<void> {
    try {
      while (this.#term === term && term !== 0) {
        const facts = this.#facts();
        const { step, waits } = nextSteps(facts);
        await this.#explain(waits);
        if (step === undefined) {
          if (waits.length > 0) this.#later(LOOK_AGAIN_MS);
          return;
        }
        this.#deps.log.info({ step: step.kind, ...subject(step) }, 'role change');
        await this.#perform(step, facts.confState);
      }
    } catch (error) {
      this.#deps.log.warn({ reason: messageOf(error) }, 'a role change was not done, trying again');
      this.#later(RETRY_MS);
    }
  }

  #later(delayMs: number): void {
    if (this.#term === 0) return;
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(delayMs, () => this.#kick());
  }

  #facts(): Facts {
    const { raft, store } = this.#deps;
    const { view } = store;
    const byId = <R extends { readonly id: string }>(rows: Iterable<R>) =>
      new Map([...rows].map((row) => [row.id, row]));
    return {
      selfNodeId: raft.identity.nodeId,
      nodes: byId(view.table('node').all()),
      members: byId(view.table('member').all()),
      certificates: byId(view.table('certificate').all()),
      confState: raft.confState(),
      progress: (raftId) => raft.progress(raftId),
      nowMs: store.nowMs(),
    };
  }

  /** `expected`: the group that the step was decided upon. */
  async #perform(step: Action, expected: ConfState): Promise<void> {
    const { raft, setCertificateRole } = this.#deps;
    switch (step.kind) {
      case 'offer':
        return this.#write((draft) => offer(draft, step.nodeId));
      case 'certificate':
        return setCertificateRole(step.nodeId, step.role);
      case 'phase':
        return this.#write((draft) => setPhase(draft, step.nodeId, step.phase));
      case 'add-learner':
      case 'add-voter':
        return raft.proposeConfChange({ kind: step.kind, peer: peerOf(step.member) }, expected);
      case 'remove': {
        const { raftId } = step;
        const nodeId = step.nodeId || (raft.directory.get(raftId)?.nodeId ?? '');
        const peer = { raftId, nodeId, address: '' };
        await raft.proposeConfChange({ kind: 'remove', peer }, expected);
        return this.#write((draft) => bury(draft, raftId, nodeId));
      }
      case 'forget':
        return this.#write((draft) => forget(draft, step.member));
      case 'give-up':
        return this.#write((draft) => giveUp(draft, step.nodeId, step.message));
      case 'hand-over':
        return raft.transferLeadership();
    }
  }

  /** Says in the member's row why it does not go on; a row that says it already is not written. */
  async #explain(waits: readonly Wait[]): Promise<void> {
    const { view } = this.#deps.store;
    for (const step of waits) {
      const member = view.table('member').get(step.nodeId);
      if (!member || member.message === step.message) continue;
      await this.#write((draft) => {
        const row = draft.table('member').get(step.nodeId);
        if (row) draft.put('member', Member.with(row, { message: step.message }));
      });
    }
  }

  #write(fn: (draft: Draft) => void): Promise<void> {
    return this.#deps.store.update(fn, { writer: 'roles' });
  }

  /** Steps and joins change the group one after the other. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#working.then(work);
    this.#working = done.catch(() => undefined);
    return done;
  }
}

function offer(draft: Draft, nodeId: string): void {
  if (draft.table('member').has(nodeId)) return;
  draft.put('member', Member.create({ id: nodeId, phase: 'certificate', role: Role.WORKER }));
}

/** Told also while it cannot be taken in: whoever looks sees why it does not vote. */
function noteDamage(draft: Draft, { nodeId, raftId, damage }: JoinRaftRequest): void {
  const member = draft.table('member').get(nodeId);
  if (!member || member.raftId === raftId || member.damage === damage) return;
  draft.put('member', Member.with(member, { damage }));
  const name = draft.table('node').get(nodeId)?.name ?? '';
  const message = `its state is damaged (${damage}): it joins the managers anew`;
  draft.emit({ kind: 'member', action: 'damaged', id: nodeId, name, message });
}

function admit(draft: Draft, { nodeId, raftId, address }: JoinRaftRequest): void {
  const node = draft.table('node').get(nodeId);
  const member = draft.table('member').get(nodeId);
  const isOut = member?.phase === 'leaving' || member?.phase === 'given-up';
  if (node?.role !== Role.MANAGER || !member || isOut) {
    throw new SwarmError('PRECONDITION', 'this node is not to be a manager', {
      command: `swarm node promote ${node?.name ?? nodeId}`,
    });
  }
  if (draft.table('removedMember').has(String(raftId))) {
    throw new SwarmError('REMOVED', 'this raft id was removed from the cluster');
  }
  if (member.raftId === raftId) {
    if (member.address !== address) draft.put('member', Member.with(member, { address }));
    return;
  }
  const role = Role.WORKER;
  const sinceMs = Math.max(1, draft.timeMs);
  draft.put(
    'member',
    Member.with(member, { raftId, address, role, phase: 'learner', message: '', sinceMs }),
  );
}

/** A state from before the cluster was recovered or restored is worth nothing in it. */
function checkEpoch(epoch: number, own: number): void {
  if (epoch === 0 || epoch === own) return;
  if (epoch < own) throw new SwarmError('REMOVED', 'the cluster was recovered without this member');
  throw new SwarmError('FORBIDDEN', 'this manager is of a cluster that was recovered elsewhere');
}

function giveUp(draft: Draft, nodeId: string, message: string): void {
  const member = draft.table('member').get(nodeId);
  if (member?.phase !== 'learner') return;
  draft.put('member', Member.with(member, { phase: 'given-up', message }));
  const name = draft.table('node').get(nodeId)?.name ?? '';
  draft.emit({ kind: 'member', action: 'given-up', id: nodeId, name, message });
}

function setPhase(draft: Draft, nodeId: string, phase: string): void {
  const member = draft.table('member').get(nodeId);
  if (!member || member.phase === phase) return;
  const role = phase === 'voter' ? Role.MANAGER : member.role;
  const damage = phase === 'voter' ? '' : member.damage;
  draft.put('member', Member.with(member, { phase, role, message: '', damage }));
  const name = draft.table('node').get(nodeId)?.name ?? '';
  const message = phase === 'voter' ? 'is a manager now' : 'leaves the managers';
  draft.emit({ kind: 'member', action: phase, id: nodeId, name, message });
}

/** The raft id is out of the group: it may never speak again. */
function bury(draft: Draft, raftId: number, nodeId: string): void {
  const id = String(raftId);
  if (draft.table('removedMember').has(id)) return;
  draft.put('removedMember', RemovedMember.create({ id, nodeId }));
}

function forget(draft: Draft, member: Member): void {
  if (member.raftId !== 0) bury(draft, member.raftId, member.id);
  if (draft.table('member').get(member.id)?.raftId !== member.raftId) return;
  draft.delete('member', member.id);
  const name = draft.table('node').get(member.id)?.name ?? '';
  const message = 'is no manager any more';
  draft.emit({ kind: 'member', action: 'remove', id: member.id, name, message });
}

function peerOf(member: Member) {
  return { raftId: member.raftId, nodeId: member.id, address: member.address };
}

function subject(step: Action): { nodeId: string } {
  return { nodeId: 'member' in step ? step.member.id : step.nodeId };
}

function notLeader(address: string): SwarmError {
  return new SwarmError('NOT_LEADER', 'this manager does not lead', {
    details: { leader: address },
  });
}
