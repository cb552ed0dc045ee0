import { BlockList, isIP } from 'node:net';
import { type Node, type NodeStatus, Role } from '../../proto/index.ts';

/** One placement constraint, as Docker writes and compares them. */
export interface Constraint {
  readonly text: string;
  readonly key: string;
  readonly equal: boolean;
  readonly value: string;
}

/** `key==value` or `key!=value`; undefined for anything else. */
export function parseConstraint(text: string): Constraint | undefined {
  const parts = /^\s*([^=!\s]+)\s*(==|!=)\s*(.*?)\s*$/.exec(text);
  if (parts === null) return undefined;
  return { text: text.trim(), key: parts[1]!, equal: parts[2] === '==', value: parts[3]! };
}

/**
 * Keys and values compare without case, label keys with it; a missing label reads as empty; a key
 * that nobody knows never matches.
 */
export function meets(constraint: Constraint, node: Node, status: NodeStatus | undefined): boolean {
  const key = constraint.key.toLowerCase();
  if (key === 'node.ip') return matchesAddress(constraint, status);
  const value = attributeOf(constraint.key, node, status);
  if (value === undefined) return false;
  const same =
    key === 'node.platform.arch'
      ? architecture(value) === architecture(constraint.value)
      : value.toLowerCase() === constraint.value.toLowerCase();
  return same === constraint.equal;
}

/** What `key` of a constraint or of a spread preference says about a node. */
export function attributeOf(
  key: string,
  node: Node,
  status: NodeStatus | undefined,
): string | undefined {
  const lower = key.toLowerCase();
  if (lower.startsWith('node.labels.')) return node.labels[key.slice(12)] ?? '';
  const description = status?.description;
  if (lower.startsWith('engine.labels.')) return description?.engineLabels[key.slice(14)] ?? '';
  switch (lower) {
    case 'node.id':
      return node.id;
    case 'node.hostname':
      return description?.hostname || node.name;
    case 'node.role':
      return node.role === Role.MANAGER ? 'manager' : 'worker';
    case 'node.platform.os':
      return description?.os ?? '';
    case 'node.platform.arch':
      return description?.architecture ?? '';
    default:
      return undefined;
  }
}

function architecture(name: string): string {
  const lower = name.toLowerCase();
  if (lower === 'x86_64' || lower === 'x64') return 'amd64';
  return lower === 'aarch64' ? 'arm64' : lower;
}

function matchesAddress(constraint: Constraint, status: NodeStatus | undefined): boolean {
  const address = hostOf(status?.address ?? '');
  const [net, prefix] = constraint.value.split('/');
  const family = isIP(net ?? '');
  if (family === 0 || isIP(address) === 0) return !constraint.equal && family !== 0;
  if (prefix === undefined) return (net === address) === constraint.equal;
  const bits = Number(prefix);
  if (!Number.isInteger(bits) || bits < 0 || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(net!, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6') === constraint.equal;
}

/** An address without its port and brackets. */
function hostOf(address: string): string {
  if (isIP(address) !== 0) return address;
  const host = address.replace(/:\d+$/, '');
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
