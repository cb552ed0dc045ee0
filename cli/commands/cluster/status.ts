import {
  ControlService,
  type DiskLatency,
  Empty,
  type RaftMemberStatus,
  RaftStatus,
  type TermRecord,
} from '../../../proto/index.ts';
import type { Verb } from '../../command.ts';
import { jsonView } from '../../output/json-view.ts';
import { column, formatList, type Row } from '../../output/list.ts';
import { printable } from '../../output/printable.ts';
import { relativeTime } from '../../output/relative-time.ts';
import { formatTable } from '../../output/table.ts';
import { declareInspect, listOptions, warnStale } from '../shared-options.ts';

const TERMS_SHOWN = 8;

export const status: Verb = {
  declare(command) {
    declareInspect(command);
  },
  async run(context, _words, flags) {
    const session = await context.connect();
    const answer = await session.read(ControlService.getRaftStatus, Empty.create());
    warnStale(context, answer.freshness);
    const format = flags.text('format');
    if (format === 'json') {
      context.io.out(`${JSON.stringify(jsonView(RaftStatus.toJson(answer)))}\n`);
      return undefined;
    }
    const rows = sorted(answer).map((member) => memberRow(member, answer));
    context.io.out(formatList(rows, listOptions(context, flags, COLUMNS)));
    if (format === undefined) context.io.out(rest(answer, context.io.clock.wallMs()));
    return undefined;
  },
};

const COLUMNS = [
  column('MANAGER', 'Name'),
  column('ROLE', 'Role'),
  column('STATE', 'State'),
  column('ADDRESS', 'Address'),
  column('MATCH', 'Match', 2),
  column('APPLIED', 'Applied', 1),
  column('LAG', 'Lag'),
  column('LAST CONTACT', 'LastContact'),
  column('DISK p50/p99', 'Disk'),
  column('NOTE', 'Note'),
];

/** The leader, then by name. */
function sorted({ members, leader }: RaftStatus): RaftMemberStatus[] {
  const rank = (member: RaftMemberStatus): string =>
    `${member.raftId === leader ? 0 : 1} ${member.nodeName} ${member.role}`;
  return [...members].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

function memberRow(member: RaftMemberStatus, status: RaftStatus): Row {
  const isLeader = member.raftId === status.leader;
  const isSelf = member.raftId === status.raftId;
  const name = printable(member.nodeName || member.nodeId.slice(0, 12));
  return {
    ID: member.nodeId,
    RaftID: member.raftId,
    Name: isSelf ? `${name} *` : name,
    Role: isLeader ? 'leader' : member.role,
    State: stateOf(member, isLeader),
    Address: printable(member.address),
    Match: member.match === 0 ? '' : member.match,
    Applied: member.answered ? member.applied : '',
    Lag: lagOf(member, status),
    LastContact: isSelf ? '' : contactOf(member),
    Disk: diskOf(member.disk),
    Note: printable(member.message),
  };
}

function stateOf(member: RaftMemberStatus, isLeader: boolean): string {
  if (!member.active) return 'unreachable';
  if (isLeader || member.progress === '') return 'reachable';
  return member.progress === 'replicate' ? 'reachable' : member.progress;
}

/** Entries of the leader's log that it does not have yet; without a leader nobody can say. */
function lagOf(member: RaftMemberStatus, status: RaftStatus): string | number {
  const reached = member.match === 0 ? member.applied : member.match;
  if (status.leader === 0 || reached === 0) return '';
  return Math.max(0, status.lastIndex - reached);
}

function contactOf(member: RaftMemberStatus): string {
  if (!member.hasContact) return '';
  if (member.lastContactMs < 1_000) return `${member.lastContactMs}ms ago`;
  return `${Math.round(member.lastContactMs / 1_000)}s ago`;
}

function diskOf(disk: DiskLatency | null): string {
  if (disk === null || disk.writes === 0) return '';
  const outstanding = disk.outstandingMs > 500 ? ` (waiting ${disk.outstandingMs}ms)` : '';
  return `${millis(disk.p50Micros)}/${millis(disk.p99Micros)}${outstanding}`;
}

function millis(micros: number): string {
  return `${(micros / 1_000).toFixed(1)}ms`;
}

function rest(status: RaftStatus, nowWallMs: number): string {
  const { term, epoch, committed, lastIndex } = status;
  const head = `\nTerm ${term}, epoch ${epoch}, committed ${committed}, end of the log ${lastIndex}.\n`;
  const terms = status.terms.slice(0, TERMS_SHOWN);
  if (terms.length === 0) return head;
  const rows = terms.map((seen) => [
    String(seen.term),
    leaderOf(seen),
    relativeTime(seen.sinceWallMs, nowWallMs),
  ]);
  return `${head}\n${formatTable([['TERM', 'LEADER', 'SINCE'], ...rows])}`;
}

function leaderOf({ leader, nodeName, nodeId }: TermRecord): string {
  if (leader === 0) return 'nobody';
  return printable(nodeName || nodeId.slice(0, 12)) || 'a manager that is none any more';
}
