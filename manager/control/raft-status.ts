import {
  type Freshness,
  type Member,
  RaftMemberStatus,
  RaftStatus,
  TermRecord,
} from '../../proto/index.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';

/**
 * The managers, as one table: what each says of itself (applied index, disk), and what the leader
 * knows of the others (match, progress, last contact). Who does not answer within a second is shown
 * as this manager sees it.
 */
export async function clusterStatus(deps: ControlDeps, context: CallContext): Promise<RaftStatus> {
  const own = deps.raft.status();
  // Asked by another manager: it asks the others itself.
  if (context.forwarded || deps.raft.ask === undefined) return own;
  const isStale = context.consistency === 'stale';
  const answers = isStale ? new Map<number, RaftStatus>() : await askOthers(own, deps);
  answers.set(own.raftId, own);
  const { view } = deps.store;
  return mergeStatus(own, answers, view, freshnessOf(own, isStale, deps));
}

async function askOthers(own: RaftStatus, deps: ControlDeps): Promise<Map<number, RaftStatus>> {
  const answers = new Map<number, RaftStatus>();
  const others = own.members.filter((member) => member.raftId !== own.raftId);
  const ask = async ({ raftId, address }: RaftMemberStatus): Promise<void> => {
    if (address === '') return;
    const answer = await deps.raft.ask?.(address).catch(() => undefined);
    if (answer?.raftId === raftId) answers.set(raftId, answer);
  };
  await Promise.all(others.map(ask));
  return answers;
}

/** Pure. `answers`: of the members that answered, this one's own among them. */
function mergeStatus(
  own: RaftStatus,
  answers: ReadonlyMap<number, RaftStatus>,
  view: View,
  freshness: Freshness,
): RaftStatus {
  const leads = answers.get(own.leader);
  const leader = leads?.state === 'leader' ? leads : undefined;
  const name = (nodeId: string) => view.table('node').get(nodeId)?.name ?? '';
  const members = own.members.map((member) => {
    const known = leader?.members.find(({ raftId }) => raftId === member.raftId) ?? member;
    const self = answers.get(member.raftId);
    const row = view.table('member').get(member.nodeId);
    return RaftMemberStatus.with(known, {
      nodeName: name(member.nodeId),
      applied: self?.applied ?? 0,
      disk: self?.disk ?? null,
      answered: self !== undefined,
      active: known.active || self !== undefined,
      message: row?.message || damageText(row) || diskText(self),
      phase: row?.phase ?? '',
    });
  });
  const terms = own.terms.map((term) => TermRecord.with(term, { nodeName: name(term.nodeId) }));
  const lastIndex = leader?.lastIndex ?? own.lastIndex;
  return RaftStatus.with(own, { members, terms, lastIndex, freshness });
}

function damageText(row: Member | undefined): string {
  return row?.damage ? `its state is damaged (${row.damage}): it joins anew` : '';
}
function diskText(self: RaftStatus | undefined): string {
  if (!self?.readOnly) return '';
  const leads = self.state === 'leader';
  return `its disk is nearly full: ${leads ? 'no changes are taken' : 'it could take none as leader'}`;
}

function freshnessOf(own: RaftStatus, isStale: boolean, { clock }: ControlDeps): Freshness {
  const reason = isStale ? 'asked for' : own.leader === 0 ? 'no manager leads' : '';
  return { stale: reason !== '', asOfWallMs: clock.wallMs(), reason };
}
