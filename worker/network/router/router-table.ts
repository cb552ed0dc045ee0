import type { Family } from './items.ts';
import {
  GATEWAY,
  INGRESS_DEVICE,
  INGRESS_DOOR,
  INGRESS_DOOR6,
  INGRESS_MARK,
  INSIDE,
  PROBE_PORT,
  ROUTER_TABLE,
} from './names.ts';

/** The protocol and port that a packet is for. */
const WIRE = 'meta l4proto . th dport';

/** A client whose query was lost asks again; one that was told that nobody is there gives up. */
const WHILE_NOBODY_ANSWERS = `
  chain sw_output {
    type filter hook output priority 0;
    ip saddr ${GATEWAY} icmp type destination-unreachable icmp code port-unreachable drop
  }`;

/**
 * The router's table without the elements of its sets: the same on every node. What a packet meets, in
 * this order: its zone, its mark, its backend (virtual address, published port, task port), its route, then
 * whether it may pass. A container that comes to itself through a service sees the address that it
 * asked for as its client: its answer to that goes back the way it came, whatever link that was.
 * Most packets are answers, or go straight to another container: they pass as few rules as can be.
 * A client may use one port of its own for connections to several nodes. They meet again at the backend,
 * so each node they came by is a zone of its own; where two clash the backend sees another port.
 * An address that nobody has, and a virtual one with nobody behind it, is refused here: the kernel by
 * itself says so once a second only, and clients would wait as long.
 */
export function routerTableText(family: Family): string {
  const six = family === 6;
  const ip = six ? 'ip6' : 'ip';
  const address = six ? 'ipv6_addr' : 'ipv4_addr';
  const refuse = refusal(family);
  return `table ${ip} ${ROUTER_TABLE} {
  map sw_vips { type ${address} : verdict; }
  map sw_backs { type ${address} . mark : ${address}; }
  map sw_ports { type inet_proto . inet_service : verdict; }
  map sw_pbacks { type inet_proto . inet_service . mark : ${address} . inet_service; }
  map sw_doors { type ${address} . inet_proto . inet_service : verdict; }
  map sw_dbacks { type ${address} . inet_proto . inet_service . mark : ${address} . inet_service; }
  map sw_tasks { type inet_proto . inet_service : ${address} . inet_service; }
  map sw_nodes { type ether_addr : mark; }
  map sw_zones { typeof ether saddr : ct zone; }
  set sw_hosts { type ${address}; }
  set sw_open { type ${address} . inet_proto . inet_service; }
  set sw_addr { type ifname . ${address}; }
  set sw_self { type ${address} . ${address}; }
  set sw_same { typeof meta iifgroup . meta oifgroup; }
  set sw_inner { typeof meta iifgroup; }

  chain sw_zone {
    type filter hook prerouting priority -300;
    iifname "${INGRESS_DEVICE}" ct original zone set ether saddr map @sw_zones
  }
  chain sw_mark {
    type filter hook prerouting priority -150;
    iifname "${INGRESS_DEVICE}" ct state new ct mark set ether saddr map @sw_nodes
    ct direction reply ct mark != 0 meta mark set ct mark
  }
  chain sw_choose {
    type nat hook prerouting priority -100;
    ${ip} daddr vmap @sw_vips
    ${ip} daddr . ${WIRE} vmap @sw_doors
    iifname "${INSIDE}" ${ip} daddr ${six ? INGRESS_DOOR6 : INGRESS_DOOR} ${WIRE} vmap @sw_ports
    iifname "swe*" ${ip} daddr @sw_hosts ${WIRE} vmap @sw_ports
    iifname "${INSIDE}" dnat ${ip} to ${WIRE} map @sw_tasks
  }
  chain sw_way {
    type filter hook prerouting priority -90;
    ct direction reply accept
    ct state established ct status & dnat == 0 accept
    ct direction original meta mark set 0
    iifname "${INSIDE}" ct direction original ct status dnat meta mark set ${INGRESS_MARK}
    iifname "swe*" ct direction original ct status dnat ct original ${ip} daddr @sw_hosts meta mark set ${INGRESS_MARK}
    iifname "swe*" ct state new meta mark 0 fib daddr type unicast fib daddr oif missing reject with ${refuse}
  }
  chain sw_leave {
    type nat hook postrouting priority 100;
    ct status dnat ${ip} saddr . ${ip} daddr @sw_self snat to ct original ${ip} daddr
    oifname "${INSIDE}" masquerade
  }
${filterChains(family)}${six ? '' : WHILE_NOBODY_ANSWERS}
}`;
}

function refusal(family: Family): string {
  return family === 6 ? 'icmpv6 type admin-prohibited' : 'icmp type admin-prohibited';
}

/** What passes from container to container, and what the router itself takes. */
function filterChains(family: Family): string {
  const ip = family === 6 ? 'ip6' : 'ip';
  const icmp = family === 6 ? 'icmpv6' : 'icmp';
  return `  chain sw_pass {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "swe*" iifname . ${ip} saddr != @sw_addr drop
    iifname "${INSIDE}" ct status dnat accept
    iifname "${INGRESS_DEVICE}" ${ip} daddr . ${WIRE} @sw_open accept
    iifname "swe*" ct status dnat ct original ${ip} daddr @sw_hosts accept
    meta iifgroup . meta oifgroup @sw_same accept
    iifname "swe*" oifname "${INSIDE}" meta iifgroup != @sw_inner accept
    iifname "swe*" reject with ${refusal(family)}
  }
  chain sw_input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto ${icmp} accept
    iifname "swe*" meta l4proto { tcp, udp } th dport 53 accept
    iifname "${INGRESS_DEVICE}" udp dport ${PROBE_PORT} accept
  }`;
}
