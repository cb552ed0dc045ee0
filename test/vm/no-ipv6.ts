import assert from 'node:assert/strict';
import { diff, flat } from '../../worker/network/router/diff.ts';
import { taskNamespace } from '../../worker/network/router/names.ts';
import { RecordingNetcmd } from '../../worker/network/router/netcmd.fixture.ts';
import { OBSERVE_SCRIPT, readRouter } from '../../worker/network/router/observe.ts';
import {
  at,
  INGRESS,
  network,
  peer,
  published,
  service,
} from '../../worker/network/router/rows.fixture.ts';
import { tryKernel } from '../../worker/network/router/try-kernel.ts';
import { runInGuest } from './guest.ts';
import { CABLE, shellOf, shortOf, typedBy } from './two-nodes.ts';

const PROGRAMS = ['ip', 'bridge', 'nft', 'flock', 'nsenter', 'setpriv'];
const OBSERVED = '=== observed';

/**
 * Two nodes with a container each on a network, in a machine whose kernel was started without IPv6: it can
 * carry networks, takes all that is typed, and has what was planned.
 */
export async function noIpv6(): Promise<void> {
  const rows = {
    peers: [peer(1), peer(2)],
    networks: [INGRESS, network(1)],
    networkServices: [service(1, [2]), service(1, [1], ASKING)],
    services: [published(1, [2])],
  };
  const nodes = await Promise.all([1, 2].map((number) => typedBy(number, rows, false)));
  const typed = nodes.map(({ script }) => script);
  const script = [CABLE, await trial(), ...typed, CHECKS].join('\n');
  const ran = await runInGuest({
    script,
    programs: PROGRAMS,
    files: [WHO],
    bootWords: 'ipv6.disable=1',
  });
  console.log(`Linux ${ran.kernel}\n${ran.output}`);
  assert.equal(ran.code, 0, 'the script in the guest');
  const [told = '', observed = ''] = ran.output.split(`${OBSERVED}\n`);
  assert.match(told, /^no IPv6$/m);
  assert.match(told, /^direct \d+ bytes from /m);
  assert.match(told, /^virtual it is 10\.0\.1\.11$/m);
  assert.match(told, /^published it is [\d.]+$/m);
  const planned = [...flat(nodes[0]!.plan.parts)].filter(([id]) => !/^(element|chain) /.test(id));
  const found = readRouter(observed, `swr-${shortOf(1)}`).map((item) => [item.id, item] as const);
  const same = diff(new Map(found), new Map(planned));
  assert.deepEqual(same, { clear: [], make: [], take: [] }, 'what the kernel has');
  console.log('\nA kernel without IPv6 carries networks, and has all that was planned.');
}

/** A service that only asks: others have to know the way back. */
const ASKING = { id: 'asks/net1', serviceId: 'asks', serviceName: 'asks', address: '' };

/** What a daemon asks a kernel at its start. */
async function trial(): Promise<string> {
  const netcmd = new RecordingNetcmd();
  assert.equal(await tryKernel(netcmd, shortOf(1)), '');
  return netcmd.commands.map((command) => shellOf(command, 'host1')).join('\n');
}

const inside = (number: number): string =>
  `nsenter --net=/run/netns/${taskNamespace(shortOf(number), `task${number}`)}`;
/** What a server does that says whom it hears. */
const WHO = {
  path: '/who',
  content: `#!/bin/sh
echo it is $(netstat -tn 2>/dev/null | sed -n 's/.*:80 *\\([0-9.]*\\):[0-9].*/\\1/p')
`,
};
const CHECKS = `
[ -e /proc/sys/net/ipv6 ] || echo no IPv6
${inside(2)} nc -ll -p 80 -e /who &
sleep 1
echo direct $(${inside(1)} ping -c 1 -W 2 ${at(1, 2).address} | grep bytes.from)
echo virtual $(${inside(1)} nc -w 2 10.0.1.2 80 </dev/null)
echo published $(nsenter --net=/run/netns/host1 nc -w 2 192.168.99.11 8080 </dev/null)
echo '${OBSERVED}'
nsenter --net=/run/netns/swr-${shortOf(1)} sh -s <<'END_OF_INPUT'
${OBSERVE_SCRIPT}
END_OF_INPUT`;
