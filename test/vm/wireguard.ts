import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkPeer } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { Kernel } from '../../worker/network/router/kernel.ts';
import { nodeNames, taskNamespace } from '../../worker/network/router/names.ts';
import type { Command } from '../../worker/network/router/netcmd.ts';
import { Planner } from '../../worker/network/router/plan.ts';
import { RecordingNetcmd } from '../../worker/network/router/recording-netcmd.ts';
import {
  at,
  endpoint,
  INGRESS,
  input,
  network,
  peer,
  service,
} from '../../worker/network/router/rows-fixture.ts';
import { TunnelKeys, tunnelKeyPath } from '../../worker/network/router/tunnel-keys.ts';
import { tunnelPort } from '../../worker/network/router/tunnel-names.ts';
import { SystemIo } from '../../worker/system-io.ts';
import { tempDir } from '../support/swarm.ts';
import { type GuestFile, runInGuest } from './guest.ts';

const PROGRAMS = ['ip', 'bridge', 'nft', 'wg', 'flock', 'nsenter'];
const DATA_PORT = 4_799;
const PINGS = 20;
/** What just fits: 1370 less the headers of IP and ICMP. */
const WHOLE_BYTES = 1_342;
const BOOT_MS = 300_000;

/**
 * Two nodes with a container each on an encrypted network, in one machine whose kernel has WireGuard. What
 * is typed for them is what their routers type; wireguard-go is not there.
 */
export async function wireguard(): Promise<void> {
  const directory = tempDir();
  try {
    const nodes = [1, 2].map((number) => new Node(number, join(directory.path, String(number))));
    const peers = nodes.map(({ peer }) => peer);
    const script = [
      HOSTS,
      ...(await Promise.all(nodes.map((node) => node.typed(peers)))),
      CHECKS,
    ].join('\n');
    const keys = nodes.map(({ keyFile }) => keyFile);
    const { code, output, kernel } = await runInGuest(script, PROGRAMS, keys, BOOT_MS);
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
  assert.ok(number(/counter tunnel {\s+packets (\d+)/) > PINGS, 'through the tunnel');
  assert.equal(number(/counter plain {\s+packets (\d+)/), 0, 'in plain');
  assert.match(output, /^dead: 100% packet loss, in plain 0$/m);
}

class Node {
  readonly peer: NetworkPeer;
  readonly keyFile: GuestFile;
  readonly #number: number;

  constructor(number: number, directory: string) {
    const clock = new SystemClock();
    const keys = new TunnelKeys({ io: new SystemIo(clock), clock, directory });
    const wireguardKey = keys.publicKey();
    this.#number = number;
    this.peer = peer(number, { wireguardKey });
    const path = tunnelKeyPath(directory, wireguardKey);
    this.keyFile = {
      path: path.replace(directory, TUNNEL_KEYS),
      content: readFileSync(path, 'utf8'),
    };
  }
  /** Everything that its router types from nothing, as shell in the guest. */
  async typed(peers: readonly NetworkPeer[]): Promise<string> {
    const number = this.#number;
    const short = `node${number}000`;
    const netcmd = new RecordingNetcmd();
    const kernel = new Kernel({ netcmd, names: nodeNames(short) });
    const net = network(1, { encrypted: true, mtu: 1_370 });
    const rows = { peers, networks: [INGRESS, net], networkServices: [service(1, [1, 2])] };
    const given = input(rows, [endpoint(number, { attachments: [at(1, number)], names: false })]);
    const plan = new Planner().plan({
      ...given,
      nodeId: this.peer.nodeId,
      short,
      names: nodeNames(short),
      tunnelKeys: TUNNEL_KEYS,
    });
    const { problem, tunnelProblem } = await kernel.bring(plan, false);
    assert.equal(problem + tunnelProblem, '');
    return netcmd.commands.map((command) => shell(command, `host${number}`)).join('\n');
  }
}

const TUNNEL_KEYS = '/var/lib/swarm/tunnel';

function shell({ place, program, args, input: text }: Command, host: string): string {
  const name = place.in === 'host' ? host : place.name;
  const words = args.map((arg) => `'${arg}'`).join(' ');
  return `nsenter --net=/run/netns/${name} ${program} ${words} >/dev/null <<'END_OF_INPUT' || exit 1
${text.replace(/\n?$/, '\n')}END_OF_INPUT`;
}

/** Two hosts on one cable; what leaves them is counted. */
const HOSTS = `
ip netns add host1
ip netns add host2
ip link add eth0 netns host1 type veth peer name eth0 netns host2
for n in 1 2; do
  ip -n host$n link set lo up
  ip -n host$n addr add 192.168.99.1$n/24 dev eth0
  ip -n host$n link set eth0 up
done
nsenter --net=/run/netns/host1 nft -f - <<'END_OF_INPUT' || exit 1
table inet capture {
  counter tunnel { }
  counter plain { }
  chain out {
    type filter hook postrouting priority 300;
    oifname "eth0" udp dport ${tunnelPort(DATA_PORT)} counter name "tunnel"
    oifname "eth0" meta l4proto { icmp, tcp } counter name "plain"
    oifname "eth0" udp dport != ${tunnelPort(DATA_PORT)} counter name "plain"
  }
}
END_OF_INPUT`;

const TASK = taskNamespace('node1000', 'task1');
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
