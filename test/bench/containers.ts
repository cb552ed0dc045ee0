import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { buildImage } from '../../shared/distribution/image.fixture.ts';
import { busybox, PrivateContainerd } from '../../worker/runtime/containerd/containerd.fixture.ts';
import { TestRegistry } from '../support/registry.ts';
import { DockerSide } from './docker-side.ts';
import { line, spread } from './report.ts';
import type { Side } from './side.ts';
import { SwarmSide } from './swarm-side.ts';

const PORT = 15_090;
const SLEEP = ['sleep', '100000'];
const PULL_MB = 200;
const PULL_LAYERS = 4;
/** Of a 200 MB task that wants 280. */
const MEMORY = { limit: 200 << 20, wanted: 280 << 20 };

/** CPU shares of two services. */
const SHARES: { readonly [name: string]: number } = { more: 1_024, fewer: 512 };

interface Plan {
  readonly rounds: number;
  readonly sizes: readonly number[];
  readonly parts: ReadonlySet<string>;
  readonly alone: boolean;
}

/**
 * Containers beside Docker's own Swarm on one machine: the same image, no published port and no network
 * of the cluster, SIGKILL to stop, seccomp and logs on. Rounds alternate.
 */
export async function containers(args: readonly string[]): Promise<void> {
  const plan = planOf(args);
  const registry = await TestRegistry.start(PORT);
  await registry.push(buildImage(busybox()), 'bench/sleep', '1');
  const image = `${registry.host}/bench/sleep:1`;
  const times = new Times();
  let swarm: SwarmSide | undefined;
  let docker: DockerSide | undefined;
  try {
    swarm = await SwarmSide.start(new PrivateContainerd());
    docker = plan.alone ? undefined : await DockerSide.start(registry.host);
    const sides: readonly Side[] = docker === undefined ? [swarm] : [swarm, docker];
    for (const side of sides) await startAndStop(side, image, 2);
    for (let round = 1; round <= plan.rounds; round++) {
      // Who begins changes: what the other leaves running meets both alike.
      for (const side of round % 2 === 1 ? sides : [...sides].reverse())
        await oneRound(side, image, plan, times);
      await onePull(sides, registry, round, plan, times);
    }
    await limits(sides, image, plan);
    await restarts(swarm, image, plan);
    times.report();
  } finally {
    await docker?.stop();
    await swarm?.stop();
    await registry.stop();
  }
}

/** `--rounds N`, `--sizes 1,10`, `--only start,update,pull,limits,restart`, `--alone`. */
function planOf(args: readonly string[]): Plan {
  const value = (flag: string, or: string): string => {
    const at = args.indexOf(flag);
    return at < 0 ? or : (args[at + 1] ?? or);
  };
  return {
    rounds: Number(value('--rounds', '5')),
    sizes: value('--sizes', '1,10,50,100').split(',').map(Number),
    parts: new Set(value('--only', 'start,update,pull,limits,restart').split(',')),
    alone: args.includes('--alone'),
  };
}

async function oneRound(side: Side, image: string, plan: Plan, times: Times): Promise<void> {
  const largest = Math.max(...plan.sizes);
  if (plan.parts.has('start'))
    for (const size of plan.sizes) {
      const name = `start${size}`;
      const wanted = { name, image, command: SLEEP, replicas: size };
      times.add(`start ${size}`, side.name, await side.create(wanted));
      if (size === largest) memory(side, size);
      const endMs = await side.remove(name);
      if (size === largest) times.add(`stop ${size}`, side.name, endMs);
    }
  if (!plan.parts.has('update')) return;
  const wanted = { name: 'update', image, command: SLEEP, replicas: 50 };
  await side.create(wanted);
  const updateMs = await side.update({ ...wanted, version: 'b' });
  times.add('update 50, parallelism 10', side.name, updateMs);
  await side.remove('update');
}

function memory(side: Side, size: number): void {
  const { daemons, beside } = side.memory();
  line(`${side.name} with ${size} tasks: daemons RSS`, daemons, 'MB');
  line(`${side.name} with ${size} tasks: shims RSS`, beside, 'MB');
  if (side instanceof SwarmSide)
    line(`${side.name} with ${size} tasks: agent RSS`, side.agentMemory(), 'MB');
}

/** An image that nobody has yet, for each round another one. */
async function onePull(
  sides: readonly Side[],
  registry: TestRegistry,
  round: number,
  plan: Plan,
  times: Times,
): Promise<void> {
  if (!plan.parts.has('pull') || round > PULL_ROUNDS) return;
  const tag = `${round}`;
  await registry.push(largeImage(), 'bench/large', tag);
  for (const side of round % 2 === 1 ? sides : [...sides].reverse()) {
    const name = `pull${round}`;
    const wanted = { name, image: `${registry.host}/bench/large:${tag}`, command: SLEEP };
    times.add(
      `pull ${PULL_MB} MB and start 1`,
      side.name,
      await side.create({ ...wanted, replicas: 1 }),
    );
    await side.remove(name);
  }
}

const PULL_ROUNDS = 3;

/** Half of it can be compressed. */
function largeImage(): ReturnType<typeof buildImage> {
  const bytes = (PULL_MB << 20) / PULL_LAYERS;
  const layers = Array.from({ length: PULL_LAYERS }, (_, at) => {
    const content = Buffer.concat([randomBytes(bytes / 2), Buffer.alloc(bytes / 2, `layer${at}`)]);
    return [{ name: `large${at}`, content, mode: 0o644 }];
  });
  const base = busybox();
  return buildImage({ ...base, layers: [...base.layers, ...layers] });
}

/** As exact as the kernel keeps them: told for both sides. */
async function limits(sides: readonly Side[], image: string, plan: Plan): Promise<void> {
  if (!plan.parts.has('limits')) return;
  for (const side of sides) {
    await memoryLimit(side, image);
    await cpuLimit(side, image);
    await cpuShares(side, image);
  }
}

async function memoryLimit(side: Side, image: string): Promise<void> {
  const command = ['tail', '-c', `${MEMORY.wanted}`, '/dev/zero'];
  const wanted = { image, replicas: 1, once: true, memoryBytes: MEMORY.limit };
  void side.create({ ...wanted, name: 'greedy', command }).catch(() => undefined);
  const { code, oom } = await side.ended('greedy');
  line(`${side.name}: 280 MB in a task of 200: exit code`, code, oom ? '(OOM)' : '(no OOM)');
  await side.remove('greedy');
}

async function cpuLimit(side: Side, image: string): Promise<void> {
  const wanted = { image, replicas: 1, name: 'busy', nanoCpus: 500_000_000 };
  await side.create({ ...wanted, command: spin(1) });
  const [used] = await cpusOf(side, ['busy']);
  line(`${side.name}: CPU of a task with 0.5`, used!, 'CPUs');
  await side.remove('busy');
}

/** Each would take all processors, so they share them by weight. */
async function cpuShares(side: Side, image: string): Promise<void> {
  const names = Object.keys(SHARES);
  for (const [name, shares] of Object.entries(SHARES)) {
    const command = spin(availableParallelism());
    await side.create({ image, replicas: 1, name, command, cpuShares: shares });
  }
  const [more, fewer] = await cpusOf(side, names);
  line(`${side.name}: CPU of shares 1024 to 512`, more! / fewer!, 'to 1');
  for (const name of names) await side.remove(name);
}

function spin(loops: number): readonly string[] {
  const each = Array.from({ length: loops }, () => 'while :; do :; done &').join(' ');
  return ['sh', '-c', `${each} wait`];
}

/** What the only tasks of these services use, in processors, over five seconds. */
async function cpusOf(side: Side, names: readonly string[]): Promise<readonly number[]> {
  const nanos = (): Promise<readonly number[]> =>
    Promise.all(names.map((name) => side.cpuNanos(name)));
  await wait(1_000);
  const [beforeMs, before] = [performance.now(), await nanos()];
  await wait(5_000);
  const [after, ms] = [await nanos(), performance.now() - beforeMs];
  return after.map((value, at) => (value - before[at]!) / 1e6 / ms);
}

async function restarts(swarm: SwarmSide, image: string, plan: Plan): Promise<void> {
  if (!plan.parts.has('restart')) return;
  const replicas = Math.max(...plan.sizes);
  await swarm.create({ name: 'kept', image, command: SLEEP, replicas });
  const adopted: number[] = [];
  const connected: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const { adoptedMs, connectedMs } = await swarm.restart(replicas);
    adopted.push(adoptedMs);
    connected.push(connectedMs);
  }
  spread(`restart: ${replicas} tasks adopted`, adopted, 'ms');
  spread(`restart: and connected`, connected, 'ms');
  line('agent RSS after it', swarm.agentMemory(), 'MB');
  await swarm.remove('kept');
}

async function startAndStop(side: Side, image: string, replicas: number): Promise<void> {
  await side.create({ name: 'warm', image, command: SLEEP, replicas });
  await side.remove('warm');
}

/** What was measured, by name and side. */
class Times {
  readonly #all = new Map<string, Map<string, number[]>>();

  add(name: string, side: string, ms: number): void {
    const sides = this.#all.get(name) ?? new Map<string, number[]>();
    this.#all.set(name, sides);
    sides.set(side, [...(sides.get(side) ?? []), ms]);
    line(`  ${side} ${name}`, ms, 'ms');
  }
  report(): void {
    for (const [name, sides] of this.#all) {
      for (const [side, values] of sides) spread(`${side} ${name}`, values, 'ms');
      const [ours, theirs] = [sides.get('swarm'), sides.get('docker')];
      if (ours === undefined || theirs === undefined) continue;
      line(`${name}: ratio of medians`, median(ours) / median(theirs), '× Docker');
    }
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
