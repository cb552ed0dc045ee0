import { DOORS, DOORS6, INSIDE, type NodeNames } from './names.ts';
import { takeTunnel } from './tunnel-script.ts';

/**
 * What is typed where the host's own network meets the router: shell, because a lock, a search for a
 * free address and other programs' firewalls are in it. May be run again at any time; all names are
 * made of ids, so nothing has to be quoted.
 */

export interface HostWish {
  readonly names: NodeNames;
  /** This node carries overlay traffic: published ports go to the router. */
  readonly overlay: boolean;
  /** A network with IPv6 is on this node. */
  readonly six: boolean;
}

/** What the host script tells. */
export interface Uplink {
  /** Its ends: on the host and in the router. */
  readonly host: string;
  readonly router: string;
  /** Forwarding was off until a node on this machine needed it: of IPv4, and of IPv6. */
  readonly forwardingIsOurs: boolean;
  readonly forwardingIsOurs6: boolean;
  /** It was not there before. */
  readonly made: boolean;
}

/** Range of the small networks between routers and their host: 1,024 of four addresses each. */
const UPLINKS = 1_024;

/** Marks that a node turned forwarding on; gone with the next start of the machine, as that is. */
const MARK = '/run/swarm-forwarding';
/** The same for how strictly connections are tracked. */
const LIBERAL_MARK = '/run/swarm-liberal';
const LIBERAL = 'netfilter/nf_conntrack_tcp_be_liberal';

/**
 * One daemon of a machine at a time makes or takes away what all of them share. The lock's file is never
 * removed: who waits for the removed one and who makes it anew would both have it.
 */
const ALONE = `exec 9>/run/swarm-uplink.lock
flock 9`;

/**
 * A rule that is gone again at once: for it the kernel loads connection tracking, without which there is
 * no setting to make yet when the first pass comes before the router's rules.
 */
const LOADS_CONNTRACK =
  'add table ip swz; add chain ip swz c; add rule ip swz c ct state new; delete table ip swz';

/**
 * A new namespace has the machine's settings for IPv4, which may be those of a load balancer: gateways
 * are on the loopback, and have to be answered for on every link.
 * In the router nothing holds back the refusals of packets that have no way: a client whose packet is
 * dropped without a word tries again a second later only.
 * A packet that connection tracking takes for none of its connection's would not be translated, and
 * answered by the host with a reset: neither host nor router is strict about that.
 */
export function hostScript({ names, overlay, six }: HostWish): string {
  const { router, uplink } = names;
  const inside = `nsenter --net=/run/netns/${router}`;
  return `set -e
here=$(stat -Lc %i /proc/self/ns/net)
${ALONE}
${namespaceExists(router)}
if ! ip -o -4 addr show dev ${uplink} 2>/dev/null | grep -q 169.254. ||
   ! ip -n ${router} -o -4 addr show dev ${INSIDE} 2>/dev/null | grep -q 169.254.; then
  ip link del ${uplink} 2>/dev/null || true
  ip -n ${router} link del ${INSIDE} 2>/dev/null || true
  used=" $(ip -o -4 addr show | tr '/' ' ' | tr '\\n' ' ') "
  n=0
  while :; do
    a=$((112 + n / 64)) b=$((n % 64 * 4))
    case "$used" in *" 169.254.$a.$((b + 1)) "*) n=$((n + 1)) ;; *) break ;; esac
    [ $n -lt ${UPLINKS} ] || { echo "no free network in 169.254.112.0/20"; exit 1; }
  done
  ip link add ${uplink} type veth peer name ${INSIDE} netns ${router}
  ip -n ${router} addr add 169.254.$a.$((b + 2))/30 dev ${INSIDE}
  ip addr add 169.254.$a.$((b + 1))/30 dev ${uplink}
  echo made
fi
router=$(ip -n ${router} -o -4 addr show dev ${INSIDE} | sed 's/.* inet \\([0-9.]*\\).*/\\1/')
host=$(ip -o -4 addr show dev ${uplink} | sed 's/.* inet \\([0-9.]*\\).*/\\1/')
ip link set ${uplink} up
ip -n ${router} -batch - <<END
link set lo up
link set ${INSIDE} up
route replace default via $host dev ${INSIDE} onlink
END
${inside} sh -c 'cd /proc/sys/net
echo 1 >ipv4/ip_forward
for each in rp_filter arp_ignore arp_announce arp_filter; do
  echo 0 >ipv4/conf/all/$each; echo 0 >ipv4/conf/default/$each
done
echo 0 >ipv4/conf/all/send_redirects; echo 0 >ipv4/conf/default/send_redirects
[ -e ${LIBERAL} ] || nft "${LOADS_CONNTRACK}" 2>/dev/null || true
echo 1 >${LIBERAL} 2>/dev/null || true
echo 0 >ipv4/icmp_ratelimit 2>/dev/null || true
[ ! -e ipv4/icmp_msgs_per_sec ] || { echo 1000000 >ipv4/icmp_msgs_per_sec; echo 10000 >ipv4/icmp_msgs_burst; }
[ ! -e ipv6/conf/all/forwarding ] || {
  echo 1 >ipv6/conf/all/forwarding; echo 0 >ipv6/conf/default/accept_dad; echo 0 >ipv6/conf/all/accept_dad
  echo 0 >ipv6/icmp/ratelimit
}'
cd /proc/sys/net/ipv4
[ "$(cat ip_forward)" = 1 ] || { : >${MARK}-$here; echo 1 >ip_forward; }
echo 1 >conf/${uplink}/route_localnet
echo 0 >conf/${uplink}/rp_filter
${overlay ? doors(uplink) : ''}
${overlay && six ? forwarding6(names) : ''}
${forwardRules(uplink, 'add')}
ours=no ours6=no
[ ! -e ${MARK}-$here ] || ours=yes
[ ! -e ${MARK}6-$here ] || ours6=yes
echo "uplink $host $router $ours $ours6"
`;
}

/** Reads what the script told. Throws when that is nothing of the kind. */
export function readUplink(output: string): Uplink {
  const match = /^uplink (\S+) (\S+) (yes|no) (yes|no)$/m.exec(output);
  if (match === null) throw new Error(output.trim().split('\n').at(-1) ?? '');
  return {
    host: match[1]!,
    router: match[2]!,
    forwardingIsOurs: match[3] === 'yes',
    forwardingIsOurs6: match[4] === 'yes',
    made: /^made$/m.test(output),
  };
}

function doors(uplink: string): string {
  return `ip route replace ${DOORS} via $router dev ${uplink}
[ "$(cat ../${LIBERAL} 2>/dev/null)" != 0 ] || { : >${LIBERAL_MARK}-$here; echo 1 >../${LIBERAL}; }`;
}

/**
 * The link has IPv6 also where the host's own devices are to have none. A host that forwards ignores what
 * routers announce to it, unless told not to: its own default route may come from there.
 */
function forwarding6({ router, uplink }: NodeNames): string {
  return `cd /proc/sys/net/ipv6/conf
if [ "$(cat all/forwarding)" != 1 ]; then
  : >${MARK}6-$here
  for each in */accept_ra; do
    [ "$(cat $each)" != 1 ] || { echo 2 >$each; echo $each >>${MARK}6-$here; }
  done
  echo 1 >all/forwarding
fi
echo 0 >${uplink}/disable_ipv6
link=$(echo $host | cut -d. -f3,4 | tr . :)
base=fd73:7761:726d:1::$link
ip -6 addr replace $base:1/126 dev ${uplink} nodad
ip -6 -n ${router} addr replace $base:2/126 dev ${INSIDE} nodad
ip -6 -n ${router} route replace default via $base:1 dev ${INSIDE} onlink
ip -6 route replace ${DOORS6} via $base:2 dev ${uplink}`;
}

/** Everything of this node outside the router and in it. `keepForwarding`: others need it now. */
export function destroyScript(names: NodeNames, keepForwarding: boolean): string {
  const { router, uplink, table, tunnel } = names;
  const off = (mark: string, switchPath: string, keep = keepForwarding): string =>
    `if [ -e ${mark}-$here ] && ! ip -o link show | grep -q ' swu'; then
  ${keep ? 'true' : `echo 0 >/proc/sys/net/${switchPath} || true`}
  rm -f ${mark}-$here
fi`;
  return `here=$(stat -Lc %i /proc/self/ns/net)
${ALONE}
for device in $(ip -n ${router} -o link show 2>/dev/null | sed -n 's/^[0-9]*: \\(sw[a-z0-9-]*\\).*/\\1/p'); do
  ip -n ${router} link del $device 2>/dev/null
done
ip link del ${uplink} 2>/dev/null
${takeTunnel(tunnel)}
nft delete table ip ${table} 2>/dev/null
nft delete table ip6 ${table} 2>/dev/null
${forwardRules(uplink, 'remove')}
[ ! -e /run/netns/${router} ] || ip netns del ${router}
${off(MARK, 'ipv4/ip_forward')}
${keepForwarding ? '' : LISTEN_AS_BEFORE}
${off(`${MARK}6`, 'ipv6/conf/all/forwarding')}
${off(LIBERAL_MARK, LIBERAL, false)}
true
`;
}

/** What routers announce counts again only while this host does not forward. */
const LISTEN_AS_BEFORE = `if [ -e ${MARK}6-$here ] && ! ip -o link show | grep -q ' swu'; then
  while read -r each; do
    [ "$(cat /proc/sys/net/ipv6/conf/$each)" != 2 ] || echo 1 >/proc/sys/net/ipv6/conf/$each
  done <${MARK}6-$here
fi`;

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
    `FORWARD -o ${uplink} -m conntrack --ctstate DNAT,ESTABLISHED,RELATED -m comment --comment swarm -j ACCEPT`,
  ];
  return ['iptables', 'ip6tables']
    .map((program) => {
      const have = `command -v ${program} >/dev/null 2>&1`;
      if (what === 'remove')
        return rules.map((rule) => `${have} && ${program} -w -D ${rule} 2>/dev/null`).join('\n');
      return `if ${have} && ${program} -w -S 2>/dev/null | grep -q -e '-P FORWARD DROP' -e '-N DOCKER'; then
${rules.map((rule) => `  ${program} -w -C ${rule} 2>/dev/null || ${program} -w -I ${rule}`).join('\n')}
fi`;
    })
    .join('\n');
}
