import { spawn } from 'node:child_process';
import { taskNamespace } from '../../worker/network/router/names.ts';
import { Hosts, type Peer } from '../integration/network/hosts.ts';
import { type Inhabited, OverlayCluster } from '../support/overlay/cluster.ts';
import { missingPrograms } from '../support/programs.ts';
import { ROOT, run, until } from '../support/swarm.ts';
import { DockerOverlay } from './docker-overlay.ts';
import { line, spread } from './report.ts';

const ROUNDS = 5;
const SECONDS = 2;
const CONNECTIONS_MS = 1_500;
const PORT = 7_000;
const IPERF_PORT = 7_001;

/** What `iperf3 -J` tells. */
interface Iperf {
  readonly end: {
    readonly sum_received: {
      readonly bits_per_second: number;
      readonly bytes: number;
      readonly seconds: number;
    };
    readonly cpu_utilization_percent: {
      readonly host_total: number;
      readonly remote_total: number;
    };
  };
}

/** Two containers on two hosts, and a way from the first to the second. */
interface Path {
  readonly name: string;
  /** Words that run a program in the first one's network, and in the second one's. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly client: Peer;
  readonly address: string;
}

/**
 * Traffic between containers of two nodes, direct and by the virtual address, the same over dockerd's
 * overlay, and between the hosts themselves, which is all that any overlay could reach: one after the
 * other, round after round. A virtual address of dockerd needs IPVS.
 */
export async function networkTraffic(): Promise<void> {
  const cluster = await OverlayCluster.up(2);
  const docker = missingPrograms(['dockerd', 'docker']).length === 0 ? await theirs() : undefined;
  try {
    const bare = await between(cluster);
    const paths = [...(await ours(cluster)), bare, ...(docker ? [docker.path] : [])];
    const results = new Map<string, number[]>();
    const note = (name: string, value: number): void => {
      results.set(name, [...(results.get(name) ?? []), value]);
    };
    for (let round = 0; round < ROUNDS; round++)
      for (const path of paths) {
        const { gbitPerS, cpuSPerGb } = await throughput(path);
        note(`${path.name}: iperf3 Gbit/s`, gbitPerS);
        note(`${path.name}: iperf3 CPU s/GB`, cpuSPerGb);
        note(`${path.name}: ping ms`, await latency(path));
        note(`${path.name}: connections 1/s`, await connections(path));
      }
    for (const [name, values] of results) spread(`traffic ${name}`, values, '');
    compare(results);
  } finally {
    await docker?.end();
    await cluster.down();
  }
}

function compare(results: ReadonlyMap<string, readonly number[]>): void {
  const median = (name: string): number =>
    [...(results.get(name) ?? [])].sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.NaN;
  const ratio = (label: string, above: string, below: string): void =>
    line(`traffic ratio ${label}`, median(above) / median(below), '');
  ratio('virtual/direct connections', 'virtual: connections 1/s', 'direct: connections 1/s');
  if (!results.has('dockerd: ping ms')) return;
  for (const each of ['iperf3 Gbit/s', 'iperf3 CPU s/GB', 'connections 1/s', 'ping ms'])
    ratio(`direct/dockerd ${each}`, `direct: ${each}`, `dockerd: ${each}`);
  ratio('hosts/dockerd iperf3', 'hosts: iperf3 Gbit/s', 'dockerd: iperf3 Gbit/s');
  ratio('virtual/dockerd iperf3', 'virtual: iperf3 Gbit/s', 'dockerd: iperf3 Gbit/s');
}

async function ours(cluster: OverlayCluster): Promise<Path[]> {
  await cluster.type('network', 'create', 'front');
  for (const [name, host] of [['near', 1] as const, ['far', 2] as const])
    await cluster.create(name, ['--network', 'front', '--constraint', `node.hostname==n${host}`]);
  const [near] = (await cluster.inhabit('near', 1)) as [Inhabited];
  const [far] = (await cluster.inhabit('far', 1)) as [Inhabited];
  await far.peer.call('serve', PORT);
  const into = (host: number, { taskId }: Inhabited): string[] => [
    'nsenter',
    `--net=/run/netns/${taskNamespace(cluster.short(cluster.node(host)), taskId)}`,
  ];
  const { front } = await cluster.virtual('far');
  const ends = { from: into(1, near), to: into(2, far), client: near.peer };
  return [
    { ...ends, name: 'direct', address: far.addresses[0]! },
    { ...ends, name: 'virtual', address: front! },
  ];
}

async function between({ hosts }: OverlayCluster): Promise<Path> {
  const into = (host: number): string[] => ['nsenter', `--net=/run/netns/${hosts.name(host)}`];
  const client = await hosts.peer(hosts.name(1), 'near');
  const server = await hosts.peer(hosts.name(2), 'far');
  await server.call('serve', PORT);
  return { name: 'hosts', from: into(1), to: into(2), client, address: hosts.address(2) };
}

async function theirs(): Promise<{ readonly path: Path; end(): Promise<void> }> {
  const hosts = await Hosts.make(2);
  const overlay = await DockerOverlay.up(hosts);
  const [near, far] = overlay.containers;
  const place = (pid: number): string => `/proc/${pid}/ns/net`;
  const into = (pid: number): string[] => ['nsenter', `--net=${place(pid)}`];
  const client = await hosts.peer(place(near!.pid), 'near');
  const server = await hosts.peer(place(far!.pid), 'far');
  await server.call('serve', PORT);
  return {
    path: {
      name: 'dockerd',
      from: into(near!.pid),
      to: into(far!.pid),
      client,
      address: far!.address,
    },
    async end() {
      await overlay.down();
      await hosts.end();
    },
  };
}

/** CPU is that of both ends' processes, with the packets that the kernel handles in their time. */
async function throughput({ from, to, address }: Path): Promise<{
  readonly gbitPerS: number;
  readonly cpuSPerGb: number;
}> {
  const [program, ...words] = to;
  const server = spawn(program!, [...words, 'iperf3', '-s', '-1', '-p', `${IPERF_PORT}`], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    return await until('an iperf3 server', async () => {
      const [first, ...rest] = from;
      const asked = ['iperf3', '-c', address, '-p', `${IPERF_PORT}`, '-t', `${SECONDS}`, '-J'];
      const ran = await run(first!, [...rest, ...asked], { cwd: ROOT });
      if (ran.code !== 0) return undefined;
      const { end } = JSON.parse(ran.stdout) as Iperf;
      const { bits_per_second: bits, bytes, seconds } = end.sum_received;
      const { host_total: here, remote_total: there } = end.cpu_utilization_percent;
      const cpuS = ((here + there) / 100) * seconds;
      return { gbitPerS: bits / 1e9, cpuSPerGb: (cpuS * 1e9) / bytes };
    });
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
}

/** The average in milliseconds. A virtual address may answer by itself: what counts is a backend. */
async function latency({ from, address }: Path): Promise<number> {
  const [program, ...words] = from;
  const ran = await run(program!, [
    ...words,
    'busybox',
    'ping',
    '-q',
    '-c',
    '200',
    '-i',
    '0.005',
    address,
  ]);
  return Number(/= [\d.]+\/([\d.]+)\//.exec(ran.stdout)?.[1]);
}

async function connections({ client, address }: Path): Promise<number> {
  const count = await client.call<number>('connections', address, PORT, CONNECTIONS_MS);
  return (count * 1_000) / CONNECTIONS_MS;
}
