import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Backend, NetworkEndpoint, Protocol, PublishMode } from '../../../proto/index.ts';
import { Kernel } from './kernel.ts';
import { nodeNames } from './names.ts';
import { RecordingNetcmd } from './netcmd.fixture.ts';
import { Planner } from './plan.ts';
import {
  at,
  endpoint,
  INGRESS,
  input,
  key,
  network,
  peer,
  published,
  service,
} from './rows.fixture.ts';

/** What is typed, word by word. `UPDATE=1` writes it anew: read the difference. */
const HERE = dirname(fileURLToPath(import.meta.url)).replace('/dist/', '/');

describe('what is typed for', () => {
  it('a node in the proxy tier with one container', async () => {
    const { bring, typed } = node();
    const alone = {
      ...input({}, [endpoint(1, { ports: PORTS, names: false })]),
      overlay: undefined,
    };
    await bring(alone);
    golden('proxy-tier', typed());
  });
  it('a node with a service on a network, published', async () => {
    const { bring, typed } = node();
    await bring(input(ROWS, [endpoint(1, { attachments: [at(1, 1)] })]));
    golden('overlay', typed());
  });
  it('the same where the kernel has no IPv6', async () => {
    const { bring, typed } = node(false);
    await bring(input(ROWS, [endpoint(1, { attachments: [at(1, 1)] })]));
    const text = typed();
    golden('overlay-four', text);
    assert.doesNotMatch(text, /^(route|rule|neigh|addr|address) .*::|ip6 swarm/m);
  });
  it('a backend that drains, and then is gone', async () => {
    const { bring, typed, netcmd } = node();
    const here = [endpoint(1, { attachments: [at(1, 1)] })];
    await bring(input(ROWS, here));
    typed();
    netcmd.flows = flow('udp      17 25');
    const row = ROWS.networkServices[0]!;
    const endpoints = row.endpoints.map((each, n) =>
      n === 1 ? NetworkEndpoint.with(each, { draining: true }) : each,
    );
    const backends = ROWS.services[0]!.backends.map((each, n) =>
      n === 1 ? Backend.with(each, { draining: true }) : each,
    );
    const networkServices = [service(1, [], { endpoints })];
    const services = [published(1, [], { backends })];
    await bring(input({ ...ROWS, services, networkServices }, here));
    const drains = typed();
    netcmd.flows = ['ESTABLISHED', 'TIME_WAIT']
      .map((state) => flow(`tcp      6 99 ${state}`))
      .join('\n');
    const without = { services: [published(1, [1, 3])], networkServices: [service(1, [1, 3])] };
    await bring(input({ ...ROWS, ...without }, here));
    golden('drain', `${drains}\n${typed()}`);
  });
  it('an encrypted network, which goes again', async () => {
    const { bring, typed } = node();
    const peers = [1, 2].map((each) => peer(each, { wireguardKey: key(each) }));
    const net = network(1, { encrypted: true, mtu: 1_370, subnets: [network(1).subnets[0]!] });
    await bring(input({ peers, networks: [INGRESS] }, []));
    typed();
    await bring(input({ peers, networks: [INGRESS, net] }, []));
    const comes = typed();
    await bring(input({ peers, networks: [INGRESS] }, []));
    golden('encrypted', `${comes}\n${typed()}`);
  });
  it('client affinity, a port of one address, a port of the nodes that have a task', async () => {
    const { bring, typed } = node();
    const ports = [
      { target: 80, published: 8_080, bind: '127.0.0.1' },
      { target: 53, published: 53, protocol: Protocol.UDP, mode: PublishMode.HOST },
    ];
    const row = published(1, [1, 2], { ports });
    const net = network(1, { internal: true, subnets: [network(1).subnets[0]!] });
    await bring(input({ networks: [INGRESS, net] }, []));
    typed();
    await bring(input({ networks: [INGRESS, net], services: [row] }, []));
    golden('ports', typed());
  });
});

test('flows that are not there are not ended', async () => {
  const { bring, typed, netcmd } = node();
  await bring(input(ROWS, []));
  typed();
  netcmd.failing = { program: 'grep', output: '' };
  await bring(input({ ...ROWS, networkServices: [service(1, [1, 3])], services: [] }, []));
  const text = typed();
  assert.match(text, /: grep .*10\\\.0\\\.1\\\.12/);
  assert.doesNotMatch(text, /: conntrack/);
});

const PORTS = [
  { protocol: Protocol.TCP, target: 80, host: '192.168.99.11', port: 20_001 },
] as never;
const ROWS = {
  networks: [INGRESS, network(1)],
  networkServices: [service(1, [1, 2, 3])],
  services: [published(1, [1, 2, 3])],
};

function node(six = true) {
  const netcmd = new RecordingNetcmd();
  const kernel = new Kernel({ netcmd, names: nodeNames('node1000'), six });
  const planner = new Planner(six);
  return {
    async bring(given: Parameters<Planner['plan']>[0]): Promise<void> {
      const { problem } = await kernel.bring(planner.plan(given), false);
      assert.equal(problem, '');
    },
    typed: () => netcmd.text(),
    netcmd,
  };
}

/** Of a client to a virtual address, and back from the backend that drains. */
function flow(kind: string): string {
  const there = 'src=10.0.1.11 dst=10.0.1.2 sport=4000 dport=80';
  return `ipv4     2 ${kind} ${there} src=10.0.1.12 dst=10.0.1.11 sport=80 dport=4000 use=1`;
}

function golden(name: string, text: string): void {
  const path = join(HERE, 'golden', `${name}.txt`);
  if (process.env['UPDATE']) writeFileSync(path, text);
  assert.equal(text, readFileSync(path, 'utf8'));
}
