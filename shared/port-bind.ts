import { isIP } from 'node:net';

/**
 * What a published port is bound to (`-p BIND:8080:80`): nothing, an address, an interface of each node,
 * or what a label of each node says, which is an address or an interface again.
 */
export type PortBind =
  | { readonly kind: 'all' }
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'label'; readonly key: string };

const LABEL = /^node\.labels\.([A-Za-z0-9][A-Za-z0-9_./-]{0,62})$/;
/** As long as Linux allows, and nothing that could be mistaken for a port or a path. */
const INTERFACE = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;

export const PORT_BIND_TEXT = 'an address (127.0.0.1), an interface (eth1) or node.labels.KEY';

/** Undefined: it is none of these. */
export function parsePortBind(text: string): PortBind | undefined {
  if (text === '') return { kind: 'all' };
  if (isIP(text) !== 0) return { kind: 'address', address: text };
  const key = LABEL.exec(text)?.[1];
  if (key !== undefined) return { kind: 'label', key };
  return INTERFACE.test(text) ? { kind: 'interface', name: text } : undefined;
}
