/**
 * How far datagrams of the data port get on this host, while somebody asks: a table of nftables that
 * writes down where they came from and went to, before and after all filters, and changes nothing.
 */
export interface Stations {
  readonly left: ReadonlySet<string>;
  readonly heard: ReadonlySet<string>;
  readonly passed: ReadonlySet<string>;
}

export function STATIONS(short: string): string {
  return `swarm_doctor_${short}`;
}

const SECONDS_KEPT = 60;

export function stationsTable(short: string, dataPort: number): string {
  const sets = ['left', 'heard', 'passed'].map(
    (name) => `
  set sw_${name} { type ipv4_addr; flags dynamic, timeout; timeout ${SECONDS_KEPT}s; size 65535; }
  set sw_${name}6 { type ipv6_addr; flags dynamic, timeout; timeout ${SECONDS_KEPT}s; size 65535; }`,
  );
  const note = (name: string, side: string): string => `
    udp dport ${dataPort} update @sw_${name} { ip ${side} }
    udp dport ${dataPort} update @sw_${name}6 { ip6 ${side} }`;
  return `${removeStations(short)}
table inet ${STATIONS(short)} {${sets.join('')}
  chain sw_out {
    type filter hook postrouting priority 300;${note('left', 'daddr')}
  }
  chain sw_in {
    type filter hook prerouting priority -400;${note('heard', 'saddr')}
  }
  chain sw_done {
    type filter hook input priority 300;${note('passed', 'saddr')}
  }
}
`;
}

export function removeStations(short: string): string {
  const table = `inet ${STATIONS(short)}`;
  return `table ${table}\ndelete table ${table}`;
}

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly (string | { readonly elem: { readonly val: string } })[];
}

/** Reads what `nft -j list table` says of it. */
export function readStations(output: string): Stations {
  const { nftables } = JSON.parse(output) as {
    readonly nftables: readonly { readonly set?: ListedSet }[];
  };
  const sets = nftables.flatMap(({ set }) => set ?? []);
  const of = (name: string): ReadonlySet<string> =>
    new Set(
      sets
        .filter((set) => set.name === `sw_${name}` || set.name === `sw_${name}6`)
        .flatMap(({ elem = [] }) => elem)
        .map((each) => (typeof each === 'string' ? each : each.elem.val)),
    );
  return { left: of('left'), heard: of('heard'), passed: of('passed') };
}
