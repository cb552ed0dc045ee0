import { parseIpv6 } from '../../../shared/prefix.ts';
import { isV6 } from './items.ts';

/** What the kernel remembers of packets to one backend, and may have to forget. */
export interface Flows {
  readonly backend: string;
  /** Of UDP alone. */
  readonly datagrams: boolean;
}

/** Flows that are alike: one call of conntrack ends them. */
export interface FoundFlows {
  readonly backend: string;
  /** As /proc/net/nf_conntrack names it. */
  readonly protocol: string;
  /** Of TCP; empty: the protocol has none. */
  readonly state: string;
}

/** Patterns that grep looks for at once. */
export const LOOKED_FOR_MAX = 64;

/** What grep says when it found nothing, or something; where there is no such file it says more. */
export const GREP_ANSWERS: ReadonlySet<number> = new Set([0, 1]);

/**
 * Connections that somebody may wait for. One that has ended is let rest: its client may use the port
 * again, and conntrack, which ends what it listed by addresses and ports alone, would end the new one.
 */
const OPEN_STATES = ['SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK'];
const WITHOUT_STATES = ['udp', 'udplite', 'icmp', 'icmpv6'];

/**
 * Words for grep: lines of these flows. conntrack locks each bucket of a table that the whole machine
 * shares, with hundreds of thousands of them; the file is three times as cheap, and mostly nothing goes
 * to a backend that leaves.
 */
export function findFlows(flows: readonly Flows[]): readonly string[] {
  const patterns = flows.map(({ backend, datagrams }) => {
    const kinds = datagrams ? ['udp'] : [...OPEN_STATES, ...WITHOUT_STATES];
    // The first source is the client's, the second one that of the answers.
    return ` (${kinds.join('|')}) .*src=.* src=${asListed(backend).replaceAll('.', '\\.')} `;
  });
  return ['-E', patterns.join('|'), '/proc/net/nf_conntrack'];
}

/** Words for conntrack that list all flows of a family like that file. */
export function listFlows(family: 4 | 6): readonly string[] {
  return ['-L', '-o', 'extended', '-f', `ipv${family}`];
}

/** Which of these flows are in the kernel's lines. */
export function foundFlows(lines: string, flows: readonly Flows[]): readonly FoundFlows[] {
  const wanted = new Map(flows.map((each) => [asListed(each.backend), each]));
  const found = new Map<string, FoundFlows>();
  for (const line of lines.split('\n')) {
    const [, , protocol = '', , , word = ''] = line.split(/ +/);
    const source = [...line.matchAll(/ src=(\S+)/g)][1]?.[1];
    const one = source === undefined ? undefined : wanted.get(asListed(source));
    if (one === undefined) continue;
    const state = protocol === 'tcp' ? word : '';
    const isOpen = protocol === 'tcp' ? OPEN_STATES : WITHOUT_STATES;
    if (one.datagrams ? protocol !== 'udp' : !isOpen.includes(state || protocol)) continue;
    found.set(`${protocol} ${state} ${one.backend}`, { backend: one.backend, protocol, state });
  }
  return [...found.values()];
}

/** Words for conntrack that end these. */
export function endFlows({ backend, protocol, state }: FoundFlows): readonly string[] {
  return ['-D', '-p', protocol, ...(state && ['--state', state]), '--reply-src', backend];
}

/** All of an IPv6 address's digits stand in the file. */
export function asListed(address: string): string {
  if (!isV6(address)) return address;
  const digits = (parseIpv6(address) ?? 0n).toString(16).padStart(32, '0');
  return digits.match(/.{4}/g)!.join(':');
}
