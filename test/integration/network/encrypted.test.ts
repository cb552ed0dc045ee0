import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { NetworkLookRequest, NetworkPeer } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { examineNetwork } from '../../../worker/network/doctor/examine.ts';
import { SystemNetcmd } from '../../../worker/network/router/netcmd.ts';
import { network } from '../../../worker/network/router/rows.fixture.ts';
import { TunnelKeys } from '../../../worker/network/router/tunnel-keys.ts';
import { tunnelPort } from '../../../worker/network/router/tunnel-names.ts';
import { SystemIo } from '../../../worker/system-io.ts';
import { run, until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';
import { Hosts, type Peer } from './hosts.ts';
import { DATA_PORT, Routers } from './routers.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv', 'wg', 'wireguard-go']);

describe('an encrypted network', { skip: missing || false }, () => {
  let hosts: Hosts;
  let routers: Routers;
  /** One container on each host. */
  const at: Peer[] = [];
  const clock = new SystemClock();
  const io = new SystemIo(clock);

  before(async () => {
    hosts = await Hosts.make(3);
    routers = new Routers(hosts);
    await routers.open();
    // The third has no WireGuard: nothing may reach it, and nothing may leave it.
    const peers = routers.rows.peers.map((peer, n) =>
      NetworkPeer.with(peer, { wireguardKey: n === 2 ? '' : tell(n + 1) }),
    );
    const net = network(1, { encrypted: true, mtu: 1_370 });
    await routers.apply({ peers, networks: [...routers.rows.networks, net] });
    for (const host of [1, 2, 3]) {
      const attachments = [{ ...ADDRESS, address: `10.0.1.1${host}`, aliases: [] }];
      const { peer } = await routers.container(host, `c${host}`, { attachments });
      await peer.call('serve', 80);
      at.push(peer);
    }
    const endpoints = [1, 2, 3].map((host) => ({
      taskId: `c${host}`,
      nodeId: routers.nodeId(host),
      ready: true,
      address: `10.0.1.1${host}`,
    }));
    const service = { id: 'web/net1', serviceId: 'web', serviceName: 'web', networkId: 'net1' };
    await routers.apply({ networkServices: [{ ...service, endpoints }] as never });
    for (const host of [1, 2, 3])
      await hosts.must(hosts.name(host), `nft -f - <<END\n${CAPTURE}\nEND`);
  });
  after(() => routers?.end());

  const tell = (host: number): string =>
    new TunnelKeys({ io, clock, directory: routers.tunnelKeys(host) }).publicKey();
  const device = (host: number): string => `swg${routers.short(host)}`;
  /** Datagrams that left a host: in the tunnel, and anything else over IP. */
  async function left(host: number): Promise<{ readonly tunnel: number; readonly plain: number }> {
    const text = await hosts.must(hosts.name(host), 'nft list table inet capture');
    const count = (name: string): number =>
      Number(new RegExp(`counter ${name} {\\s+packets (\\d+)`).exec(text)?.[1]);
    return { tunnel: count('sealed'), plain: count('plain') };
  }

  function examine(host: number) {
    const deps = {
      io,
      netcmd: new SystemNetcmd(io, clock, hosts.name(host)),
      router: routers.routers[host - 1]!,
      short: routers.short(host),
      lacks: () => '',
      inside: { execPath: process.execPath, args: [] },
    };
    return examineNetwork(deps, { index: 1, ...routers.rows }, NetworkLookRequest.create({}));
  }

  it('carries traffic between nodes, and nothing of it leaves them in plain', async () => {
    assert.deepEqual(await at[0]!.times(20, 'tcp', '10.0.1.12', 80), ['c2 10.0.1.11']);
    assert.deepEqual(await at[1]!.call('udp', '10.0.1.11', 80), ['c1 10.0.1.12']);
    for (const host of [1, 2]) {
      const { tunnel, plain } = await left(host);
      assert.ok(tunnel > 40, `${tunnel} through the tunnel`);
      assert.equal(plain, 0);
    }
  });
  it('has no way to a node without WireGuard, and that one none to it', async () => {
    assert.equal(await at[0]!.call('tcp', '10.0.1.13', 80), 'EHOSTUNREACH');
    await at[2]!.call('udp', '10.0.1.11', 80).catch(() => undefined);
    assert.deepEqual(await left(3), { tunnel: 0, plain: 0 });
  });
  it('is as it was left when it is looked at', async () => {
    for (const host of [1, 2, 3]) {
      assert.equal(await routers.routers[host - 1]!.repair(), '');
      assert.equal(routers.routers[host - 1]!.repaired, 0, `host ${host}`);
    }
  });
  it('stays silent while wireguard-go is dead, and comes back with the next look', async () => {
    const before = await left(1);
    await hosts.must(hosts.name(1), `rm /var/run/wireguard/${device(1)}.sock`);
    await until('the device to be gone', async () =>
      (await hosts.sh(hosts.name(1), `ip link show ${device(1)}`)).code === 0 ? undefined : true,
    );
    await at[0]!.call('udp', '10.0.1.12', 80).catch(() => undefined);
    assert.equal((await left(1)).plain, before.plain);
    assert.equal(await routers.routers[0]!.repair(), '');
    assert.ok(routers.routers[0]!.repaired > 0);
    await until('traffic', async () => {
      const answer = await at[0]!.call('tcp', '10.0.1.12', 80);
      return answer === 'c2 10.0.1.11' ? true : undefined;
    });
    assert.equal((await left(1)).plain, 0);
  });
  it('is told by the doctor to be silent when its port is closed, and not before', async () => {
    const seen = async (host: number) => {
      const { tunnelPeers, tunnelSilent } = await examine(host);
      return [tunnelPeers, tunnelSilent];
    };
    const [one, two] = [routers.nodeId(1), routers.nodeId(2)];
    assert.deepEqual(
      [await seen(1), await seen(2)],
      [
        [[two], []],
        [[one], []],
      ],
    );
    const rule = `udp dport ${tunnelPort(DATA_PORT)} drop`;
    const chain = `chain in { type filter hook input priority 0; ${rule}; }`;
    await hosts.must(hosts.name(2), `nft 'table inet closed { ${chain}; }'`);
    // One that is made anew has to shake hands first.
    await hosts.must(hosts.name(1), `ip link del ${device(1)}`);
    await routers.routers[0]!.repair();
    assert.deepEqual(await seen(1), [[two], [two]]);
    await hosts.must(hosts.name(2), 'nft delete table inet closed');
    await until('traffic', async () => {
      const answer = await at[0]!.call('tcp', '10.0.1.12', 80);
      return answer === 'c2 10.0.1.11' ? true : undefined;
    });
  });
  it('is taken up by the next daemon: the tunnel is the same process', async () => {
    const socket = (): string => String(io.stat(`/var/run/wireguard/${device(2)}.sock`)?.mtimeMs);
    const before = socket();
    await routers.restart(2);
    assert.equal(socket(), before);
    assert.equal(await at[1]!.call('tcp', '10.0.1.11', 80), 'c1 10.0.1.12');
  });
  it('goes on when a node has another key', async () => {
    const directory = routers.tunnelKeys(1);
    await run('sh', ['-c', `touch -d '91 days ago' ${directory}/*.key`]);
    const key = tell(1);
    assert.notEqual(key, routers.rows.peers[0]!.wireguardKey);
    const peers = routers.rows.peers.map((peer, n) =>
      n === 0 ? NetworkPeer.with(peer, { wireguardKey: key }) : peer,
    );
    await routers.apply({ peers });
    const shown = await hosts.must(hosts.name(2), `wg show ${device(2)} peers`);
    assert.equal(shown.trim(), key);
    assert.equal(await at[0]!.call('tcp', '10.0.1.12', 80), 'c2 10.0.1.11');
    assert.equal((await left(1)).plain, 0);
  });
  it('is gone with the last of its tasks', async () => {
    await routers.apply({ networks: routers.rows.networks.slice(0, 1), networkServices: [] });
    for (const host of [1, 2])
      assert.notEqual((await hosts.sh(hosts.name(host), `ip link show ${device(host)}`)).code, 0);
  });
});

const ADDRESS = { networkId: 'net1', address6: '' };
const CAPTURE = `table inet capture {
  counter sealed { }
  counter plain { }
  chain out {
    type filter hook postrouting priority 300;
    oifname != "eth0" accept
    udp dport ${tunnelPort(DATA_PORT)} counter name "sealed" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
    counter name "plain"
  }
}`;
