import { Role } from '../../proto/index.ts';
import { isId } from '../ids.ts';

/** Who a certificate was issued to: CN node id, OU role, O cluster id. */
export interface Subject {
  readonly nodeId: string;
  readonly role: Role;
  readonly clusterId: string;
}

const MANAGER_OU = 'swarm-manager';
const WORKER_OU = 'swarm-worker';

/** The subject's fields as certificates and requests name them. */
export function subjectFields(subject: Subject): { CN: string; OU: string; O: string } {
  return { CN: subject.nodeId, OU: ouOf(subject.role), O: subject.clusterId };
}

function ouOf(role: Role): string {
  return role === Role.MANAGER ? MANAGER_OU : WORKER_OU;
}

/** `undefined` for anything that is not exactly a node's subject (a field twice is none either). */
export function parseSubject(fields: object | undefined): Subject | undefined {
  const { CN, OU, O } = (fields ?? {}) as { readonly [key: string]: unknown };
  if (typeof CN !== 'string' || typeof OU !== 'string' || typeof O !== 'string') return undefined;
  if (!isId(CN) || O === '') return undefined;
  if (OU === MANAGER_OU) return { nodeId: CN, role: Role.MANAGER, clusterId: O };
  if (OU === WORKER_OU) return { nodeId: CN, role: Role.WORKER, clusterId: O };
  return undefined;
}

/** The same from the text of `X509Certificate.subject` (a line for each field). */
export function parseSubjectText(text: string): Subject | undefined {
  const fields: { [key: string]: string } = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0 || Object.hasOwn(fields, line.slice(0, at))) return undefined;
    fields[line.slice(0, at)] = line.slice(at + 1);
  }
  return parseSubject(fields);
}
