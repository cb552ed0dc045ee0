import { IPV6 } from '../router/names.ts';
import { HOST, type Netcmd, script } from '../router/netcmd.ts';

/** What this host is like underneath the networks of containers. */
export interface HostFacts {
  /** That the traffic between nodes goes through; empty: none has the address. */
  readonly device: string;
  readonly mtu: number;
  readonly driver: string;
  readonly checksumOffload: boolean;
  /** Prefixes that it routes by itself. */
  readonly routes: readonly string[];
  /** Chains of others that drop by default, as "FAMILY TABLE CHAIN HOOK". */
  readonly dropping: readonly string[];
}

export async function hostFacts(netcmd: Netcmd, dataAddress: string): Promise<HostFacts> {
  const input = factsScript(dataAddress);
  const { output } = await netcmd.run(script(HOST, input));
  return readFacts(output, dataAddress);
}

/** One line of JSON each: addresses, both families' routes, chains; then what the device is. */
function factsScript(dataAddress: string): string {
  return `ip -j addr show; echo
ip -j -4 route show; echo
[ ! -e ${IPV6} ] || ip -j -6 route show; echo
nft -j list chains 2>/dev/null || echo '{}'; echo
device=$(ip -o addr show to ${dataAddress} | sed -n '1s/^[0-9]*: *\\([^ ]*\\) .*/\\1/p')
[ -n "$device" ] || exit 0
echo "driver $(basename "$(readlink -f "/sys/class/net/$device/device/driver" 2>/dev/null)")"
ethtool -k "$device" 2>/dev/null | sed -n 's/^tx-checksumming: /checksums /p'
`;
}

interface Address {
  readonly ifname: string;
  readonly mtu: number;
  readonly addr_info: readonly { readonly local: string }[];
}
interface RouteRow {
  readonly dst: string;
  readonly dev?: string;
  readonly type?: string;
  readonly protocol?: string;
}
interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** Devices of nodes' own making, and what every host has. */
const OWN = /^(lo|sw[ugxei]|docker0$|br-|veth)/;

function readFacts(output: string, dataAddress: string): HostFacts {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const json = lines.filter((line) => /^[[{]/.test(line));
  const [addresses, routes4, routes6] = json
    .slice(0, 3)
    .map((line) => JSON.parse(line) as readonly unknown[]);
  const links = (addresses ?? []) as readonly Address[];
  const link = links.find(({ addr_info }) => addr_info.some(({ local }) => local === dataAddress));
  const routes = [...(routes4 ?? []), ...(routes6 ?? [])] as readonly RouteRow[];
  const said = (word: string): string =>
    lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? '';
  return {
    device: link?.ifname ?? '',
    mtu: link?.mtu ?? 0,
    driver: said('driver').replace(/^\.?$/, ''),
    checksumOffload: said('checksums').startsWith('on'),
    routes: prefixes(routes),
    dropping: droppingChains(json[3] ?? '{}'),
  };
}

/** Without the default, also where a VPN put two halves before it. */
function prefixes(routes: readonly RouteRow[]): readonly string[] {
  const own = routes.filter(
    ({ dst, dev, type }) =>
      type === undefined &&
      !/^default$|\/1$/.test(dst) &&
      !/^f[ef]/.test(dst) &&
      !OWN.test(dev ?? 'lo'),
  );
  return [...new Set(own.map(({ dst }) => whole(dst)))].sort();
}

function whole(prefix: string): string {
  if (prefix.includes('/')) return prefix;
  return `${prefix}/${prefix.includes(':') ? 128 : 32}`;
}

/** Where packets of ours pass: iptables' own are met by rules of ours, others by nothing. */
function droppingChains(text: string): readonly string[] {
  const { nftables = [] } = JSON.parse(text) as {
    readonly nftables?: readonly { readonly chain?: Chain }[];
  };
  return nftables
    .flatMap(({ chain }) => chain ?? [])
    .filter(({ policy, hook, table }) => {
      const isPassed = hook === 'forward' || hook === 'input' || hook === 'output';
      return policy === 'drop' && isPassed && !table.startsWith('swarm_');
    })
    .map(({ family, table, name, hook }) => `${family} ${table} ${name} ${hook}`);
}
