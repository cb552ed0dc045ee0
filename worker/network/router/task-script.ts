import { createHash } from 'node:crypto';
import { isV6 } from './items.ts';
import { GATEWAY, GATEWAY_MAC, GATEWAY6 } from './names.ts';
import type { TaskLink } from './task-link.ts';

/**
 * Sets up one link of a container: the pair of devices where it is missing, then both ends. May be run
 * again over what is there, and then changes only what differs; the digest stands last, as the sign
 * that all of it was done. Runs in the router: each program that it need not start counts, for all
 * containers pass here.
 */
export function taskLinkScript(link: TaskLink, digest: string): string {
  const { device, namespace, name, mtu } = link;
  const size = mtu === 0 ? '' : ` mtu ${mtu}`;
  const sixOff = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
  const knobs = `/proc/sys/net/ipv4/conf/${device}`;
  return `set -e
new=
{ [ -e /run/netns/${namespace} ] && nsenter --net=/run/netns/${namespace} true 2>/dev/null; } || {
  [ ! -e /run/netns/${namespace} ] || rm -f /run/netns/${namespace}
  ip netns add ${namespace}
  new=1
}
pair=
[ -z "$new" ] && [ -e ${knobs} ] && ip -n ${namespace} link show dev ${name} >/dev/null 2>&1 || {
  [ ! -e ${knobs} ] || ip link del ${device} 2>/dev/null || true
  [ -n "$new" ] || ip -n ${namespace} link del ${name} 2>/dev/null || true
  pair='link add ${name}${size} type veth peer name ${device} address ${GATEWAY_MAC}${size} netns '$$
  echo made
}
ip -n ${namespace} -batch - <<END
$pair
${insideLines(link).join('\n')}
END
echo 1 >${knobs}/rp_filter
six=
off=1
[ ! -e ${sixOff} ] || read -r off <${sixOff} || true
[ "$off" = 1 ] || six='addr replace ${GATEWAY6}/64 dev ${device} nodad'
${link.names ? namesText(link) : ''}
ip -batch - <<END
link set ${device} up
$six
link set ${device} alias ${digest}
END
`;
}

function insideLines(link: TaskLink): readonly string[] {
  const { name, mac, mtu, addresses, gateway, hasDefault, prefixes } = link;
  const six = addresses.some(isV6);
  const by = (prefix: string): string => (isV6(prefix) ? GATEWAY6 : gateway);
  const ways = (hasDefault ? ['0.0.0.0/0', ...(six ? ['::/0'] : [])] : prefixes).filter(
    (prefix) => six || !isV6(prefix),
  );
  return [
    'link set lo up',
    `link set ${name} address ${mac}${mtu === 0 ? '' : ` mtu ${mtu}`} up`,
    ...addresses.map(
      (each) => `addr replace ${each} dev ${name} noprefixroute${isV6(each) ? ' nodad' : ''}`,
    ),
    `route replace ${gateway}/32 dev ${name} scope link`,
    ...[gateway, ...(six ? [GATEWAY6] : [])].map(
      (each) => `neigh replace ${each} lladdr ${GATEWAY_MAC} dev ${name} nud permanent`,
    ),
    ...ways.map((prefix) => `route replace ${prefix} via ${by(prefix)} dev ${name}`),
  ];
}

/** Names are asked for at 127.0.0.11, where images expect them, and answered at the gateway. */
function namesText({ namespace, name }: TaskLink): string {
  const inside = `nsenter --net=/run/netns/${namespace}`;
  const asked = 'meta l4proto { tcp, udp } th dport 53';
  return `${inside} sh -c 'echo 1 >/proc/sys/net/ipv4/conf/${name}/route_localnet'
${inside} nft -f - <<END
table ip swarm_names
delete table ip swarm_names
table ip swarm_names {
  chain sw_ask {
    type nat hook output priority -100;
    ip daddr 127.0.0.11 ${asked} dnat to ${GATEWAY}
  }
  chain sw_leave {
    type nat hook postrouting priority 100;
    ip daddr ${GATEWAY} ${asked} masquerade
  }
}
END`;
}

/** What a link is set up from, short enough for the alias of its device. */
export function digestOf(link: TaskLink): string {
  return createHash('sha256').update(JSON.stringify(link)).digest('hex').slice(0, 16);
}
