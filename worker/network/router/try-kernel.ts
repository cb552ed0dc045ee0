import { hostTableText } from './host-table.ts';
import type { Family } from './items.ts';
import { IPV6, nodeNames } from './names.ts';
import { HOST, type Netcmd, script } from './netcmd.ts';
import { routerTableText } from './router-table.ts';

/**
 * Whether this machine can carry networks, found out by making one of everything in a namespace that is
 * thrown away. Empty: it can; else what was refused.
 */
export async function tryKernel(netcmd: Netcmd, short: string): Promise<string> {
  const name = `swz-${short}`;
  const host = {
    name: nodeNames(short).table,
    uplink: 'swu',
    address: '169.254.112.1',
    tunnel: 'swg',
    dataPort: 4_799,
    encryptedPort: 4_800,
    onlyOurs: true,
  };
  const tables = (family: Family): string =>
    `${routerTableText(family)}\n${hostTableText(host, family)}`;
  const inside = `nsenter --net=/run/netns/${name}`;
  const input = `for program in ip bridge nft nsenter flock setpriv; do
  command -v $program >/dev/null || { echo "$program is not installed"; exit 1; }
done
ip netns del ${name} 2>/dev/null
trap 'ip netns del ${name} 2>/dev/null' EXIT
set -e
ip netns add ${name}
ip -n ${name} link set lo up
ip -n ${name} link add swe0 type veth peer name eth0
ip -n ${name} link add swx0 type vxlan id 1 dstport 4799 local 127.0.0.1 nolearning
ip -n ${name} link set swx0 up
ip -n ${name} route add 10.0.0.1 via 198.19.0.2 dev swx0 onlink proto 83
ip -n ${name} rule add fwmark 0x1/0xffff lookup 1 protocol 83
${inside} nft -f - <<END
${tables(4)}
END
[ -e ${IPV6} ] || exit 0
${inside} nft -f - <<END
${tables(6)}
END
`;
  const { code, output } = await netcmd.run(script(HOST, input));
  return code === 0 ? '' : output.trim().split('\n').at(-1) || 'no reason was given';
}
