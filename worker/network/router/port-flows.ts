import type { Items } from './diff.ts';
import { asListed } from './flows.ts';
import type { Table } from './items.ts';
import { DOORS6 } from './names.ts';

type Place = Table['place'];

/**
 * Datagrams that clients sent to a port before it was published, or while nobody was behind it: the kernel
 * remembers that they go to the host itself, and sends all that follow there as well. What was
 * published and is no more is remembered likewise.
 */
export interface PortFlow {
  /** As the kernel lists it. */
  readonly to: string;
  readonly port: number;
  /** Where answers come from: who got the datagrams. */
  readonly from: string;
}

const ELEMENT = /^element (ip6?) (\S+) (?:sw_ports|sw_bound|sw_doors) (?:(\S+) \. )?17 \. (\d+)$/;

/** Where UDP ports are let in there: `ADDRESS PORT`, or `PORT` alone -> what they are sent to. */
function publishedIn(items: Items, where: Place): Map<string, string> {
  const ports = new Map<string, string>();
  for (const { id, text, make } of items.values()) {
    const match = make.batch === `${where}-nft` ? ELEMENT.exec(id) : null;
    if (match === null) continue;
    const [, family = '', , address = family, port = ''] = match;
    ports.set(`${asListed(address)} ${port}`, text);
  }
  return ports;
}

/** UDP ports that one of these has and the other one has not, or sends elsewhere. */
export function changedPorts(have: Items, want: Items, where: Place): readonly string[] {
  const [before, after] = [publishedIn(have, where), publishedIn(want, where)];
  const differ = [...before.keys(), ...after.keys()].filter(
    (key) => before.get(key) !== after.get(key),
  );
  return [...new Set(differ.map((key) => key.split(' ')[1]!))];
}

/** Words for grep: flows of clients to these ports. */
export function findPortFlows(ports: readonly string[]): readonly string[] {
  const pattern = ` udp +17 [0-9]+ src=[^ ]+ dst=[^ ]+ sport=[0-9]+ dport=(${ports.join('|')}) `;
  return ['-E', pattern, '/proc/net/nf_conntrack'];
}

/** Which of the kernel's lines go to one of the `own` addresses and elsewhere than is wanted now. */
export function strayFlows(
  lines: string,
  want: Items,
  where: Place,
  own: readonly string[],
): readonly PortFlow[] {
  const wanted = publishedIn(want, where);
  const mine = new Set(own.map(asListed));
  const stray = new Map<string, PortFlow>();
  for (const line of lines.split('\n')) {
    const [to = '', from = ''] = [/ dst=(\S+)/, / src=\S+ .* src=(\S+)/].map(
      (words) => words.exec(line)?.[1],
    );
    const port = / dport=(\d+)/.exec(line)?.[1] ?? '';
    const isLoopback = to.startsWith('127.') || to === asListed('::1');
    if (!mine.has(to) && !isLoopback) continue;
    const family = to.includes(':') ? 'ip6' : 'ip';
    const should = wanted.get(`${to} ${port}`) ?? wanted.get(`${family} ${port}`);
    const isMissed = should !== undefined && from === to;
    const isElsewhere = isDoor(from) && (should === undefined || from !== asListed(should));
    if (isMissed || isElsewhere)
      stray.set(`${to} ${port} ${from}`, { to, port: Number(port), from });
  }
  return [...stray.values()];
}

/** Words for conntrack that end these. */
export function endPortFlows({ to, port, from }: PortFlow): readonly string[] {
  const words = ['--orig-dst', to, '--orig-port-dst', String(port), '--reply-src', from];
  return ['-D', '-p', 'udp', ...words];
}

const DOORS6_LISTED = asListed(DOORS6.replace(/\/.*$/, '')).slice(0, 20);

function isDoor(address: string): boolean {
  return address.startsWith('240.') || address.startsWith(DOORS6_LISTED);
}
