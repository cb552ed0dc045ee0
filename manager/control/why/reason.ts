import { Reason } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';

/** Codes are stable: scripts read them. */
export type WhyCode =
  | 'fine'
  | 'removing'
  | 'no-suitable-node'
  | 'constraint-typo'
  | 'no-runtime'
  | 'no-overlay-node'
  | 'network-missing'
  | 'network-problem'
  | 'addresses-used-up'
  | 'not-enough-resources'
  | 'max-replicas-per-node'
  | 'volume-elsewhere'
  | 'bind-not-offered'
  | 'wrong-platform'
  | 'missing-command'
  | 'missing-workdir'
  | 'unknown-user'
  | 'image-missing'
  | 'image-login'
  | 'image-broken'
  | 'image-unreachable'
  | 'disk-full'
  | 'not-allowed'
  | 'task-rejected'
  | 'task-failing'
  | 'port-taken'
  | 'port-untold'
  | 'restarts-used-up'
  | 'completed'
  | 'update-paused'
  | 'rollback-paused'
  | 'rolled-back'
  | 'updating'
  | 'node-drained'
  | 'node-paused'
  | 'node-down'
  | 'node-suspect'
  | 'node-restarting'
  | 'node-leaving'
  | 'node-never-connected'
  | 'node-removing'
  | 'brake'
  | 'restart-delay'
  | 'disconnected'
  | 'waits'
  | 'starting'
  | 'unhealthy'
  | 'not-ready'
  | 'scaled-to-zero'
  | 'without-limits'
  | 'superseded'
  | 'role-change'
  | 'quarantine';

export interface ReasonRest {
  readonly advice?: string;
  readonly command?: string;
  readonly object?: string;
  readonly details?: readonly string[];
}

/** One cause. `text` names the object and is a sentence without its full stop. */
export function why(code: WhyCode, text: string, rest: ReasonRest = {}): Reason {
  const details = rest.details ?? [];
  const max = LIMITS.candidatesShownMax;
  const more = details.length > max ? [`and ${details.length - max} more`] : [];
  return Reason.create({
    code,
    text,
    advice: rest.advice ?? '',
    command: rest.command ?? '',
    object: rest.object ?? '',
    details: [...details.slice(0, max), ...more],
  });
}

/** "3 tasks", "1 task". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
