import type { Node, NodeStatus } from '../../proto/index.ts';
import { attributeOf, type Constraint } from '../loop/constraint.ts';
import { nearest } from './nearest.ts';

const FIXED_KEYS = [
  'node.id',
  'node.hostname',
  'node.ip',
  'node.role',
  'node.platform.os',
  'node.platform.arch',
];
const LABEL_PREFIXES = ['node.labels.', 'engine.labels.'];
export const CONSTRAINT_KEYS = [...FIXED_KEYS, 'node.labels.KEY', 'engine.labels.KEY'];

const KEY = /^[a-z_][a-z0-9\-_./]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;

/** Undefined: not of the form key==value or key!=value, with the characters that Docker allows. */
export function strictConstraint(text: string): Constraint | undefined {
  const at = text.search(/[=!]=/);
  if (at < 0) return undefined;
  const key = text.slice(0, at).trim();
  const value = text.slice(at + 2).trim();
  if (!KEY.test(key) || !VALUE.test(value)) return undefined;
  return { text, key, equal: text[at] === '=', value };
}

/** Unknown keys are accepted, as in Docker, and never match. */
export function isKnownKey(key: string): boolean {
  const lower = key.toLowerCase();
  if (FIXED_KEYS.includes(lower)) return true;
  return LABEL_PREFIXES.some((prefix) => lower.startsWith(prefix) && key.length > prefix.length);
}

/** The key that an unknown one most likely meant. */
export function suggestKey(key: string): string | undefined {
  const fixed = nearest(key, FIXED_KEYS);
  if (fixed !== undefined) return fixed;
  const parts = key.split('.');
  if (parts.length < 3) return undefined;
  const stem = `${parts[0]}.${parts[1]}.`;
  const prefix = nearest(stem, LABEL_PREFIXES);
  return prefix === undefined ? undefined : prefix + parts.slice(2).join('.');
}

/** What a node holds under a constraint key; empty: nothing, or nobody knows the key. */
export function heldValue(node: Node, status: NodeStatus | undefined, key: string): string {
  if (key === 'node.ip') return status?.address ?? '';
  return attributeOf(key, node, status) ?? '';
}

/** Label keys in use under the prefix of `key`, in full. */
export function labelKeysLike(key: string, node: Node, status: NodeStatus | undefined): string[] {
  if (key.startsWith('node.labels.'))
    return Object.keys(node.labels).map((label) => `node.labels.${label}`);
  const engine = Object.keys(status?.description?.engineLabels ?? {});
  return key.startsWith('engine.labels.') ? engine.map((label) => `engine.labels.${label}`) : [];
}
