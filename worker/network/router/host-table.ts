import type { Family } from './items.ts';
import { DOORS, DOORS6 } from './names.ts';

export interface HostTable {
  readonly name: string;
  readonly uplink: string;
  /** What the host's own programs are known by to containers when they ask by a loopback address. */
  readonly address: string;
  readonly tunnel: string;
  /** Undefined: this node carries no overlay traffic. */
  readonly dataPort: number | undefined;
  readonly encryptedPort: number;
  /** Forwarding was off before this node needed it: nothing else is to be forwarded because of it. */
  readonly onlyOurs: boolean;
}

/** The node's table in the host's own namespace, without the elements of its sets. */
export function hostTableText(table: HostTable, family: Family): string {
  const { name, uplink } = table;
  const six = family === 6;
  const ip = six ? 'ip6' : 'ip';
  const address = six ? 'ipv6_addr' : 'ipv4_addr';
  const wire = 'meta l4proto . th dport';
  const published = `dnat to ${ip} daddr . ${wire} map @sw_bound
    fib daddr type local dnat to ${wire} map @sw_ports`;
  // The kernel takes no answer to ::1 that comes from elsewhere: programs try 127.0.0.1 when it is refused.
  const loopback6 = six ? '\n    ip6 daddr ::1 return' : '';
  const doors = six ? DOORS6 : DOORS;
  const loopback = six
    ? ''
    : `\n    oifname "${uplink}" ip saddr 127.0.0.0/8 snat to ${table.address}`;
  return `table ${ip} ${name} {
  map sw_ports { type inet_proto . inet_service : ${address}; }
  map sw_bound { type ${address} . inet_proto . inet_service : ${address}; }
  set sw_peers { type ${address}; }

  chain sw_come {
    type nat hook prerouting priority -101;
    iifname "${uplink}" return
    ${published}
  }
  chain sw_local {
    type nat hook output priority -101;${loopback6}
    ${published}
  }
  chain sw_leave {
    type nat hook postrouting priority 100;${loopback}
    iifname "${uplink}" oifname != "${uplink}" masquerade
  }
  chain sw_outside {
    type filter hook prerouting priority -300;
    ${ip} daddr ${doors} drop
  }${guard(table, ip)}${forwarding(table)}
}`;
}

/**
 * Only nodes of the cluster send to the ports that carry networks. To and from the encrypted one there is
 * no way but the tunnel, also while that is not there.
 */
function guard({ dataPort, encryptedPort, tunnel }: HostTable, ip: string): string {
  if (dataPort === undefined) return '';
  const ports = `udp dport { ${dataPort}, ${encryptedPort} }`;
  return `
  chain sw_untracked_in {
    type filter hook prerouting priority -301;
    ${ports} notrack
  }
  chain sw_untracked_out {
    type filter hook output priority -301;
    ${ports} notrack
  }
  chain sw_guard {
    type filter hook input priority -10;
    udp dport ${encryptedPort} iifname != "${tunnel}" drop
    udp dport ${dataPort} ${ip} saddr != @sw_peers drop
  }
  chain sw_seal {
    type filter hook output priority -10;
    udp dport ${encryptedPort} oifname != "${tunnel}" drop
  }`;
}

function forwarding({ onlyOurs, uplink }: HostTable): string {
  if (!onlyOurs) return '';
  return `
  chain sw_only_ours {
    type filter hook forward priority -10;
    iifname != "${uplink}" oifname != "${uplink}" drop
  }`;
}
