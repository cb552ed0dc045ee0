import { createHash } from 'node:crypto';
import { namespaceExists } from './host-script.ts';
import { isV6 } from './items.ts';
import { GATEWAY, GATEWAY_MAC, GATEWAY6 } from './names.ts';
import type { TaskLink } from './task-link.ts';

/**
 * Sets up one link of a container: the pair of devices where it is missing, then both ends. May be run
 * again over what is there, and then changes only what differs; the digest stands last, as the sign
 * that all of it was done.
 */
export function taskLinkScript(router: string, link: TaskLink, digest: string): string {
  const { device, namespace, name, mtu } = link;
  const inRouter = `nsenter --net=/run/netns/${router}`;
  const size = mtu === 0 ? '' : ` mtu ${mtu}`;
  const pair = `link add ${device} address ${GATEWAY_MAC}${size} type veth peer name ${name}${size} netns ${namespace}`;
  return `set -e
${namespaceExists(namespace)}
ip -n ${router} link show dev ${device} >/dev/null 2>&1 && ip -n ${namespace} link show dev ${name} >/dev/null 2>&1 || {
  ip -n ${router} link del ${device} 2>/dev/null || true
  ip -n ${namespace} link del ${name} 2>/dev/null || true
  ip -n ${router} ${pair}
  echo made
}
ip -n ${router} link set ${device} up
${inRouter} sh -c 'echo 1 >/proc/sys/net/ipv4/conf/${device}/rp_filter'
ip -n ${router} addr replace ${GATEWAY6}/64 dev ${device} nodad 2>/dev/null || true
ip -n ${namespace} -batch - <<END
${insideLines(link).join('\n')}
END
${link.names ? namesText(link) : ''}
ip -n ${router} link set ${device} alias ${digest}
`;
}

function insideLines(link: TaskLink): readonly string[] {
  const { name, mtu, addresses, gateway, hasDefault, prefixes } = link;
  const six = addresses.some(isV6);
  const by = (prefix: string): string => (isV6(prefix) ? GATEWAY6 : gateway);
  const ways = (hasDefault ? ['0.0.0.0/0', ...(six ? ['::/0'] : [])] : prefixes).filter(
    (prefix) => six || !isV6(prefix),
  );
  return [
    'link set lo up',
    `link set ${name}${mtu === 0 ? '' : ` mtu ${mtu}`} up`,
    ...addresses.map(
      (each) => `addr replace ${each} dev ${name} noprefixroute${isV6(each) ? ' nodad' : ''}`,
    ),
    `route replace ${gateway}/32 dev ${name} scope link`,
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
