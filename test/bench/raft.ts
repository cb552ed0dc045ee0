import { MemberProcess, RaftCluster, until } from './raft-cluster.ts';
import { cpuTicks } from './raft-cpu.ts';
import { EtcdPeer } from './raft-etcd.ts';
import { MemberHosts } from './raft-hosts.ts';
import type { LoadResult, Pauses } from './raft-load.ts';
import { rpcLoad } from './raft-rpc.ts';
import { line, since, spread } from './report.ts';

/**
 * `npm run bench -- raft [parts] [name=value…]`: 3 managers as processes on loopback, real disk,
 * mutual TLS, every write durable. Parts: see PARTS and ALONE; none means all. Values: rounds, widths, ms (of
 * each load), heat (ms before the first), runs (of a killed leader), cuts (also of a frozen one), tasks
 * (that the opened state has), join (bytes), etcd=no, node (its own flags for the members, as
 * node=--cpu-prof,--cpu-prof-dir=DIR). A short run: `raft write read transfer rounds=1 heat=4000`.
 */
const PARTS: { readonly [name: string]: (bench: Bench) => Promise<void> } = {
  write: writes,
  rpc: overRpc,
  read: reads,
  transfer,
  kill,
  freeze,
  join,
  idle,
};
/** Those that need a cluster of another kind. */
const ALONE: { readonly [name: string]: (settings: Settings) => Promise<void> } = { cut, open };
const WIDTHS = '1,16,64,256,1024';
const ETCD_WIDTHS = [1, 16, 64, 256];
const WARM_MS = 500;
const IDLE_MS = 10_000;
const TICKS_PER_SECOND = 100;
const TRANSFERS = 10;

interface Bench extends Settings {
  readonly cluster: RaftCluster;
}

interface Settings {
  readonly rounds: number;
  readonly widths: readonly number[];
  readonly runMs: number;
  readonly heatMs: number;
  readonly kills: number;
  readonly cuts: number;
  readonly tasks: number;
  readonly joinBytes: number;
  readonly withEtcd: boolean;
  readonly flags: readonly string[];
}

export const RAFT_PARTS = [...Object.keys(PARTS), ...Object.keys(ALONE)];
/** Each given as NAME=VALUE. */
export const RAFT_SETTINGS = [
  'node',
  'rounds',
  'widths',
  'ms',
  'heat',
  'runs',
  'tasks',
  'cuts',
  'join',
  'etcd',
];

export async function raft(args: readonly string[]): Promise<void> {
  const named = new Map(args.filter((arg) => arg.includes('=')).map((arg) => pair(arg)));
  const asked = args.filter((arg) => RAFT_PARTS.includes(arg));
  const all = asked.length > 0 ? asked : RAFT_PARTS;
  const parts = all.filter((name) => name in PARTS);
  const flags = named.get('node')?.split(',') ?? [];
  const settings: Settings = {
    flags,
    rounds: Number(named.get('rounds') ?? 5),
    widths: (named.get('widths') ?? WIDTHS).split(',').map(Number),
    runMs: Number(named.get('ms') ?? 2_000),
    heatMs: Number(named.get('heat') ?? 10_000),
    kills: Number(named.get('runs') ?? 20),
    tasks: Number(named.get('tasks') ?? 1_000_000),
    cuts: Number(named.get('cuts') ?? 10),
    joinBytes: Number(named.get('join') ?? 100e6),
    withEtcd: named.get('etcd') !== 'no',
  };
  if (parts.length > 0) await onCluster(settings, parts);
  for (const name of all) await ALONE[name]?.(settings);
}

async function onCluster(settings: Settings, parts: readonly string[]): Promise<void> {
  const cluster = await RaftCluster.up(3, settings.flags);
  try {
    for (const part of parts) {
      for (const member of cluster.members) await member.ask({ kind: 'watch' });
      await PARTS[part]!({ ...settings, cluster });
      await longestPause(cluster, part);
    }
    if (settings.flags.length > 0) for (const member of cluster.members) await member.stop();
  } finally {
    await cluster.down();
  }
}

/** Of the members that lived through the part. */
async function longestPause(cluster: RaftCluster, part: string): Promise<void> {
  const pauses = await Promise.all(cluster.members.map((m) => m.ask({ kind: 'pause' })));
  const known = pauses.filter((longest) => longest !== undefined);
  if (known.length > 0) pauseLines(`${part}: any member`, known);
}

/** The first counts on a quiet machine; the second is what the process has done itself. */
function pauseLines(what: string, pauses: readonly Pauses[]): void {
  line(`${what}, longest pause`, Math.max(...pauses.map(({ pauseMs }) => pauseMs)), 'ms');
  line(`${what}, longest work at a stretch`, Math.max(...pauses.map((p) => p.busyMs)), 'ms');
}

function pair(arg: string): [string, string] {
  const at = arg.indexOf('=');
  return [arg.slice(0, at), arg.slice(at + 1)];
}

/** Proposals from inside the leader beside etcd's puts, alternating. */
async function writes(bench: Bench): Promise<void> {
  const ours = new Rounds();
  const theirs = new Rounds();
  const etcd = bench.withEtcd ? await EtcdPeer.up() : undefined;
  if (bench.withEtcd && etcd === undefined) {
    process.stdout.write('etcd or go is not installed: see test/bench/peers/README.md\n');
  }
  try {
    const leader = await bench.cluster.leader();
    const warm = { kind: 'write', width: 64, warmMs: 0, runMs: bench.runMs } as const;
    // A cold process is several times slower until all that is hot has been compiled.
    for (const width of [64, 1]) await leader.ask({ ...warm, width, runMs: bench.heatMs / 2 });
    for (let round = 0; round < bench.rounds; round++) {
      for (const width of bench.widths) {
        const before = await cpuOf(bench.cluster);
        const result = await leader.ask({ ...warm, width, warmMs: WARM_MS });
        await bench.cluster.settled();
        // The warm-up costs too: the rate is taken to be the same.
        const count = (result.perSecond * (bench.runMs + WARM_MS)) / 1000;
        const cpuUs = ((await cpuOf(bench.cluster)) - before) / count;
        ours.add(width, { ...result, cpuUs });
        if (etcd === undefined || !ETCD_WIDTHS.includes(width)) continue;
        theirs.add(width, await etcd.load(width, WARM_MS, bench.runMs));
      }
    }
  } finally {
    await etcd?.down();
  }
  ours.print('proposers');
  theirs.print('etcd clients');
  for (const width of theirs.widths()) {
    line(`ratio to etcd at ${width}`, ours.perSecond(width) / theirs.perSecond(width), 'x');
    line(`p99 to etcd's at ${width}`, ours.p99(width) / theirs.p99(width), 'x');
  }
}

async function overRpc(bench: Bench): Promise<void> {
  const leader = await bench.cluster.leader();
  for (const how of ['stream', 'unary'] as const) {
    const rounds = new Rounds();
    const client = rpcLoad(leader.options, bench.cluster.identity);
    // As cold as the leader was: most of all its own half of the streams.
    await client.run(how, 64, 0, bench.heatMs / 2);
    for (const width of [1, 16, 64]) {
      const before = await cpuOf(bench.cluster);
      const result = await client.run(how, width, WARM_MS, bench.runMs);
      const count = (result.perSecond * (bench.runMs + WARM_MS)) / 1000;
      rounds.add(width, { ...result, cpuUs: ((await cpuOf(bench.cluster)) - before) / count });
    }
    client.close();
    rounds.print(`${how} clients`);
  }
}

async function reads(bench: Bench): Promise<void> {
  const leader = await bench.cluster.leader();
  const rounds = new Rounds();
  for (const width of [1, 64, 256]) {
    rounds.add(
      width,
      await leader.ask({ kind: 'read', width, warmMs: WARM_MS, runMs: bench.runMs }),
    );
  }
  rounds.print('linearizable readers');
}

/** Leadership handed over in order: until the next leader's first accepted write. */
async function transfer({ cluster }: Bench): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < TRANSFERS; run++) {
    await cluster.settled();
    const leader = await cluster.leader();
    const others = cluster.members.filter((member) => member !== leader);
    const written = Promise.race(others.map((member) => member.ask({ kind: 'firstWrite' })));
    const startMs = performance.now();
    await leader.ask({ kind: 'transfer' });
    await written;
    times.push(since(startMs));
  }
  spread('transfer: next accepted write', times, 'ms');
}

async function kill({ cluster, kills }: Bench): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < kills; run++) {
    await cluster.settled();
    const leader = await cluster.leader();
    const others = cluster.members.filter((member) => member !== leader);
    const written = Promise.race(others.map((member) => member.ask({ kind: 'firstWrite' })));
    const startMs = performance.now();
    void leader.kill();
    await written;
    times.push(since(startMs));
    await leader.kill();
    await leader.start();
  }
  if (times.length > 0) spread('leader killed: next accepted write', times, 'ms');
}

/** The leader stands still without a word. */
async function freeze({ cluster, cuts }: Bench): Promise<void> {
  const times: number[] = [];
  for (let run = 0; run < cuts; run++) {
    await cluster.settled();
    const leader = await cluster.leader();
    const others = cluster.members.filter((member) => member !== leader);
    const written = Promise.race(others.map((member) => member.ask({ kind: 'firstWrite' })));
    const startMs = performance.now();
    leader.freeze();
    await written;
    times.push(since(startMs));
    leader.thaw();
  }
  if (times.length > 0) spread('leader frozen: next accepted write', times, 'ms');
}

/** The leader's line is cut: no packet comes to it or leaves it, and nothing is refused. */
async function cut({ cuts, flags }: Settings): Promise<void> {
  const missing = MemberHosts.missing();
  if (missing !== '') {
    process.stdout.write(`cut: not measured, ${missing} missing\n`);
    return;
  }
  const hosts = await MemberHosts.up(3);
  const cluster = await RaftCluster.up(3, flags, hosts);
  try {
    const times: number[] = [];
    for (let run = 0; run < cuts; run++) {
      await cluster.settled();
      const leader = await cluster.leader();
      const others = cluster.members.filter((member) => member !== leader);
      const written = Promise.race(others.map((member) => member.ask({ kind: 'firstWrite' })));
      await hosts.cut(leader.raftId);
      const startMs = performance.now();
      await written;
      times.push(since(startMs));
      await hosts.heal(leader.raftId);
      await until(async () => !(await leader.ask({ kind: 'status' })).isLeader);
    }
    if (times.length > 0) spread('leader cut off: next accepted write', times, 'ms');
  } finally {
    await cluster.down();
    await hosts.down();
  }
}

/** A state of `joinBytes` to a member that has nothing, until it has applied all of it. */
async function join({ cluster, joinBytes }: Bench): Promise<void> {
  const leader = await cluster.leader();
  const startMs = performance.now();
  await leader.ask({ kind: 'fillBytes', count: joinBytes });
  await cluster.settled();
  line(`writing ${Math.round(joinBytes / 1e6)} MB of rows`, since(startMs), 'ms');
  const joinMs = performance.now();
  await cluster.join(4, 'learner');
  line('all of it to a new member', since(joinMs), 'ms');
}

async function idle({ cluster }: Bench): Promise<void> {
  await cluster.settled();
  const leader = await cluster.leader();
  const before = cluster.members.map((member) => cpuTicks(member.pid));
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  for (const [at, member] of cluster.members.entries()) {
    const ticks = cpuTicks(member.pid) - before[at]!;
    const percent = (ticks / TICKS_PER_SECOND / (IDLE_MS / 1000)) * 100;
    line(`idle ${member === leader ? 'leader' : 'follower'}`, percent, '% of a core');
  }
}

/** How long a manager of one with so many tasks takes from its start to taking part. */
async function open({ tasks, flags }: Settings): Promise<void> {
  const cluster = await RaftCluster.up(1);
  try {
    const member = cluster.members[0]!;
    await member.ask({ kind: 'fillTasks', count: tasks });
    await member.stop();
    const fresh = new MemberProcess(member.raftId, member.nodeId, member.options);
    cluster.members[0] = fresh;
    const startMs = performance.now();
    const { openMs, cpuMs, pauseMs, busyMs, memoryBytes } = await fresh.start(flags);
    line(`${tasks} tasks: opened and loaded`, openMs, 'ms');
    line(`${tasks} tasks: CPU for that`, cpuMs, 'ms');
    await until(async () => (await fresh.ask({ kind: 'status' })).isLeader);
    line(`${tasks} tasks: process start to leader`, since(startMs), 'ms');
    pauseLines(`${tasks} tasks: open`, [{ pauseMs, busyMs }]);
    line(`${tasks} tasks: memory of the process`, memoryBytes / 1e6, 'MB');
    await fresh.stop();
  } finally {
    await cluster.down();
  }
}

/** Results of several rounds of several widths: medians are shown. */
class Rounds {
  readonly #results = new Map<number, LoadResult[]>();

  add(width: number, result: LoadResult): void {
    const known = this.#results.get(width) ?? [];
    known.push(result);
    this.#results.set(width, known);
  }
  widths(): number[] {
    return [...this.#results.keys()];
  }
  perSecond(width: number): number {
    return this.#median(width, (result) => result.perSecond);
  }
  p99(width: number): number {
    return this.#median(width, (result) => result.p99Ms);
  }
  print(what: string): void {
    for (const [width, results] of this.#results) {
      const rates = results.map((result) => result.perSecond);
      line(`${width} ${what}`, this.perSecond(width), 'per second');
      if (rates.length > 1) line(`${width} ${what} min`, Math.min(...rates), 'per second');
      if (rates.length > 1) line(`${width} ${what} max`, Math.max(...rates), 'per second');
      line(
        `${width} ${what} p10`,
        this.#median(width, (result) => result.p10Ms),
        'ms',
      );
      line(
        `${width} ${what} p50`,
        this.#median(width, (result) => result.p50Ms),
        'ms',
      );
      line(`${width} ${what} p99`, this.p99(width), 'ms');
      const cpuUs = this.#median(width, (result) => result.cpuUs ?? 0);
      if (cpuUs > 0) line(`${width} ${what} CPU of all members`, cpuUs, 'µs each');
      if (results.some(({ pauseMs }) => pauseMs > 0)) pauseLines(`${width} ${what}`, results);
    }
  }
  #median(width: number, of: (result: LoadResult) => number): number {
    const sorted = this.#results
      .get(width)!
      .map(of)
      .sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  }
}

async function cpuOf(cluster: RaftCluster): Promise<number> {
  const all = await Promise.all(cluster.members.map((member) => member.ask({ kind: 'cpu' })));
  return all.reduce((sum, one) => sum + one, 0);
}
