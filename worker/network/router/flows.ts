import { parseIpv6 } from '../../../shared/prefix.ts';
import { isV6 } from './items.ts';

/** What the kernel remembers of packets to one backend. */
export interface Flows {
  readonly backend: string;
  /** Of UDP alone. */
  readonly datagrams: boolean;
}

/** Patterns that grep looks for at once, before it costs more than what it saves. */
export const LOOKED_FOR_MAX = 16;

/** What grep says when nothing matches; where there is no such file it says something else. */
export const NOT_FOUND = 1;

/**
 * Words for grep: whether there is any of these. conntrack locks each bucket of a table that the whole
 * machine shares, with hundreds of thousands of them; the file is three times as cheap, and mostly no
 * datagrams went to a backend that leaves.
 */
export function findFlows(flows: readonly Flows[]): readonly string[] {
  const patterns = flows.map(({ backend, datagrams }) => {
    // The first source is the client's, the second one that of the answers.
    const source = `src=${asListed(backend).replaceAll('.', '\\.')} `;
    return `${datagrams ? ' udp .*' : ''} src=.* ${source}`;
  });
  return ['-q', '-E', patterns.join('|'), '/proc/net/nf_conntrack'];
}

/** Words for conntrack that end these. */
export function endFlow({ backend, datagrams }: Flows): readonly string[] {
  return ['-D', ...(datagrams ? ['-p', 'udp'] : []), '--reply-src', backend];
}

/** All of an IPv6 address's digits stand in the file. */
function asListed(address: string): string {
  if (!isV6(address)) return address;
  const digits = (parseIpv6(address) ?? 0n).toString(16).padStart(32, '0');
  return digits.match(/.{4}/g)!.join(':');
}
