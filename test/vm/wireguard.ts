import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkPeer } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { taskNamespace } from '../../worker/network/router/names.ts';
import { at, INGRESS, network, peer, service } from '../../worker/network/router/rows.fixture.ts';
import { TunnelKeys, tunnelKeyPath } from '../../worker/network/router/tunnel-keys.ts';
import { tunnelPort } from '../../worker/network/router/tunnel-names.ts';
import { SystemIo } from '../../worker/system-io.ts';
import { tempDir } from '../support/swarm.ts';
import { type GuestFile, runInGuest } from './guest.ts';
import { CABLE, shortOf, TUNNEL_KEYS, typedBy } from './two-nodes.ts';

const PROGRAMS = ['ip', 'bridge', 'nft', 'wg', 'flock', 'nsenter'];
const DATA_PORT = 4_799;
const PINGS = 20;
/** What just fits: 1370 less the headers of IP and ICMP. */
const WHOLE_BYTES = 1_342;

/**
 * Two nodes with a container each on an encrypted network, in one machine whose kernel has WireGuard. What
 * is typed for them is what their routers type; wireguard-go is not there.
 */
export async function wireguard(): Promise<void> {
  const directory = tempDir();
  try {
    const nodes = [1, 2].map((number) => keyed(number, join(directory.path, String(number))));
    const rows = {
      peers: nodes.map((node) => node.peer),
      networks: [INGRESS, network(1, { encrypted: true, mtu: 1_370 })],
      networkServices: [service(1, [1, 2])],
    };
    const typed = await Promise.all([1, 2].map((number) => typedBy(number, rows)));
    const script = [CABLE, COUNTERS, ...typed.map((node) => node.script), CHECKS].join('\n');
    const files = nodes.map(({ keyFile }) => keyFile);
    const { code, output, kernel } = await runInGuest({ script, programs: PROGRAMS, files });
    console.log(`Linux ${kernel}\n${output}`);
    assert.equal(code, 0, 'the script in the guest');
    judge(output);
    console.log('\nAll of it went through WireGuard of the kernel, and nothing in plain.');
  } finally {
    directory.remove();
  }
}

function judge(output: string): void {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  assert.equal(number(/(\d+) packets received/), PINGS);
  assert.match(output, /^\d+: swgnode1000: </m, 'a device of the kernel');
  assert.ok(number(/counter sealed {\s+packets (\d+)/) > PINGS, 'through the tunnel');
  assert.equal(number(/counter plain {\s+packets (\d+)/), 0, 'in plain');
  assert.match(output, /^dead: 100% packet loss, in plain 0$/m);
}

/** A node with keys of its own, as its daemon makes them. */
function keyed(
  number: number,
  directory: string,
): { readonly peer: NetworkPeer; readonly keyFile: GuestFile } {
  const clock = new SystemClock();
  const keys = new TunnelKeys({ io: new SystemIo(clock), clock, directory });
  const wireguardKey = keys.publicKey();
  const path = tunnelKeyPath(directory, wireguardKey);
  return {
    peer: peer(number, { wireguardKey }),
    keyFile: {
      path: path.replace(directory, TUNNEL_KEYS),
      content: readFileSync(path, 'utf8'),
    },
  };
}

/** What leaves the first host. */
const COUNTERS = `
nsenter --net=/run/netns/host1 nft -f - <<'END_OF_INPUT' || exit 1
table inet capture {
  counter sealed { }
  counter plain { }
  chain out {
    type filter hook postrouting priority 300;
    oifname "eth0" udp dport ${tunnelPort(DATA_PORT)} counter name "sealed"
    oifname "eth0" meta l4proto { icmp, tcp } counter name "plain"
    oifname "eth0" udp dport != ${tunnelPort(DATA_PORT)} counter name "plain"
  }
}
END_OF_INPUT`;

const TASK = taskNamespace(shortOf(1), 'task1');
const CHECKS = `
inside="nsenter --net=/run/netns/${TASK}"
to=${at(1, 2).address}
$inside ping -c ${PINGS} -i 0.1 -s ${WHOLE_BYTES} $to
ip -n host1 link show type wireguard
nsenter --net=/run/netns/host1 wg show all latest-handshakes | cut -c 1-12
nsenter --net=/run/netns/host1 nft list counters
# Without the tunnel nothing leaves another way.
ip -n host1 link del swgnode1000
lost=$($inside ping -c 3 -W 1 $to | grep -o '[0-9]*% packet loss')
plain=$(nsenter --net=/run/netns/host1 nft list counter inet capture plain | grep -o 'packets [0-9]*')
echo "dead: $lost, in plain \${plain#packets }"
`;
