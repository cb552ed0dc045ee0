/**
 * What is typed to build the network of a node's containers, as shell scripts: each is one process, and
 * may be run again at any time. All names are made of ids, so nothing has to be quoted.
 */
const GATEWAY = '198.18.0.1';
/** Range of the small networks between routers and their host: 1,024 of four addresses each. */
const UPLINKS = 1_024;

function names(short: string) {
  return { router: `swr-${short}`, uplink: `swu${short}`, table: `swarm_${short}` };
}

/** Prints `router ADDRESS`. */
export function routerScript(short: string): string {
  const { router, uplink, table } = names(short);
  const inside = `nsenter --net=/run/netns/${router}`;
  return `set -e
exec 9>/run/swarm-uplink.lock
flock 9
${namespaceExists(router)}
if ! ip -o -4 addr show dev ${uplink} 2>/dev/null | grep -q 169.254.; then
  ip link del ${uplink} 2>/dev/null || true
  used=" $(ip -o -4 addr show | tr '/' ' ' | tr '\\n' ' ') "
  n=0
  while :; do
    base=$((n * 4))
    host=169.254.$((112 + base / 256)).$((base % 256 + 1))
    router=169.254.$((112 + base / 256)).$((base % 256 + 2))
    case "$used" in *" $host "*) n=$((n + 1)) ;; *) break ;; esac
    [ $n -lt ${UPLINKS} ] || { echo "no free network in 169.254.112.0/20"; exit 1; }
  done
  ip link add ${uplink} type veth peer name up0 netns ${router}
  ip -n ${router} addr add $router/30 dev up0
  ip addr add $host/30 dev ${uplink}
fi
router=$(ip -n ${router} -o -4 addr show dev up0 | sed 's/.* inet \\([0-9.]*\\).*/\\1/')
host=$(ip -o -4 addr show dev ${uplink} | sed 's/.* inet \\([0-9.]*\\).*/\\1/')
ip link set ${uplink} up
ip -n ${router} -batch - <<END
link set lo up
link set up0 up
addr replace ${GATEWAY}/32 dev lo
route replace default via $host
END
${inside} sh -c 'cd /proc/sys/net/ipv4; echo 1 >ip_forward; echo 0 >conf/all/rp_filter
  echo 0 >conf/default/rp_filter; echo 0 >conf/all/send_redirects'
echo 1 >/proc/sys/net/ipv4/ip_forward
${inside} nft list table ip swarm_local >/dev/null 2>&1 || ${inside} nft -f - <<END
${ROUTER_TABLE}
END
nft -f - <<END
table ip ${table}
delete table ip ${table}
table ip ${table} {
  chain post {
    type nat hook postrouting priority 100;
    iifname "${uplink}" oifname != "${uplink}" masquerade
  }
}
END
${forwardRules(uplink, 'add')}
echo "router $router"
`;
}

/** Containers see the outside and their published ports, never each other. */
const ROUTER_TABLE = `table ip swarm_local {
  map task_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  chain pre {
    type nat hook prerouting priority -100;
    iifname "up0" dnat ip addr . port to meta l4proto . th dport map @task_ports
  }
  chain post {
    type nat hook postrouting priority 100;
    oifname "up0" masquerade
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "swe*" oifname "up0" accept
    iifname "up0" ct status dnat accept
  }
}`;

export interface AttachNames {
  readonly short: string;
  readonly namespace: string;
  readonly index: number;
}

export function attachScript(
  options: AttachNames & { readonly address: string; readonly elements: readonly string[] },
): string {
  const { short, namespace, index, address, elements } = options;
  const { router } = names(short);
  const device = `swe${index}`;
  const inside = `nsenter --net=/run/netns/${router}`;
  return `set -e
${namespaceExists(namespace)}
ip -n ${router} link del ${device} 2>/dev/null || true
ip -n ${router} -batch - <<END
link add ${device} type veth peer name eth0 netns ${namespace}
link set ${device} up
route replace ${address}/32 dev ${device}
END
ip -n ${namespace} -batch - <<END
link set lo up
link set eth0 up
addr replace ${address}/32 dev eth0
route replace ${GATEWAY} dev eth0 scope link
route replace default via ${GATEWAY}
END
${inside} sh -c 'echo 1 >/proc/sys/net/ipv4/conf/${device}/rp_filter'
${elements.length > 0 ? `${inside} nft add element ip swarm_local task_ports '{ ${elements.join(', ')} }'` : ''}
`;
}

export function detachScript(options: AttachNames & { readonly keys: readonly string[] }): string {
  const { short, namespace, index, keys } = options;
  const { router } = names(short);
  const inside = `nsenter --net=/run/netns/${router}`;
  const forget = keys.map(
    (key) => `${inside} nft delete element ip swarm_local task_ports '{ ${key} }' 2>/dev/null`,
  );
  return `[ ! -e /run/netns/${router} ] || {
${[...forget, `ip -n ${router} link del swe${index} 2>/dev/null`].join('\n')}
}
[ ! -e /run/netns/${namespace} ] || ip netns del ${namespace}
`;
}

export function destroyScript(short: string): string {
  const { router, uplink, table } = names(short);
  return `ip link del ${uplink} 2>/dev/null
nft delete table ip ${table} 2>/dev/null
${forwardRules(uplink, 'remove')}
[ ! -e /run/netns/${router} ] || ip netns del ${router}
`;
}

/** A name whose namespace is not mounted is what a kill in the middle leaves. */
function namespaceExists(name: string): string {
  return `nsenter --net=/run/netns/${name} true 2>/dev/null || {
  rm -f /run/netns/${name}
  ip netns add ${name}
}`;
}

/** Where somebody's firewall forwards nothing by default, no table of ours can overrule it. */
function forwardRules(uplink: string, what: 'add' | 'remove'): string {
  const rules = [
    `FORWARD -i ${uplink} -m comment --comment swarm -j ACCEPT`,
    `FORWARD -o ${uplink} -m conntrack --ctstate ESTABLISHED,RELATED -m comment --comment swarm -j ACCEPT`,
  ];
  const have = 'command -v iptables >/dev/null 2>&1';
  if (what === 'remove') {
    return rules.map((rule) => `${have} && iptables -w -D ${rule} 2>/dev/null`).join('\n');
  }
  return `if ${have} && iptables -w -S FORWARD 2>/dev/null | grep -q -e '-P FORWARD DROP'; then
${rules.map((rule) => `  iptables -w -C ${rule} 2>/dev/null || iptables -w -I ${rule}`).join('\n')}
fi`;
}
