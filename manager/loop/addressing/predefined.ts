/** Carries published ports between nodes; made by the loop when the first node can use it. */
export const INGRESS = 'ingress';

/**
 * Names of networks of each node, which nobody makes: `host` is the host's own, `bridge` the node's own
 * with a way out, `none` is no network. A service on one of them is on no other.
 */
export const NODE_LOCAL: ReadonlySet<string> = new Set(['host', 'bridge', 'none']);

export function isPredefined(name: string): boolean {
  return name === INGRESS || NODE_LOCAL.has(name);
}
