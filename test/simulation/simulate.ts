import { FIRST_INDEX } from '../../manager/raft/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import { Checker } from './check/checker.ts';
import { Clients } from './cluster/clients.ts';
import { EventWatcher } from './cluster/event-watcher.ts';
import { FIRST_EPOCH, foundingRows } from './cluster/founding.ts';
import { Machine, type World } from './cluster/machine.ts';
import type { ManagerProcess } from './cluster/manager-process.ts';
import { Managers } from './cluster/managers.ts';
import { Operator } from './cluster/operator.ts';
import type { Secrets } from './cluster/secrets.ts';
import { Services } from './cluster/services.ts';
import { SimAgent } from './cluster/sim-agent.ts';
import { Counters } from './engine/counters.ts';
import { NestedRandom } from './engine/nested-random.ts';
import { addressOf, SimNetwork } from './engine/sim-network.ts';
import { Timeline } from './engine/timeline.ts';
import { heal, runUntil } from './heal.ts';
import type { Profile } from './profiles.ts';
import { Schedule, type Struck } from './schedule.ts';
import type { Stage } from './stage.ts';

export interface SimulationOptions {
  /** How much happens before everything heals. */
  readonly events: number;
  /** Numbers of faults that do not happen. */
  readonly isLeftOut?: (number: number) => boolean;
  readonly profile?: Profile;
  readonly trace?: (line: string) => void;
}
export interface SimulationResult {
  readonly seed: number;
  readonly machines: number;
  readonly events: number;
  readonly simulatedMs: number;
  /** Empty: all that was promised was kept. */
  readonly violations: readonly string[];
  readonly struck: readonly Struck[];
  readonly counters: Counters;
}

const CLIENTS = 4;
const SETUP_MS = 60_000;
/** Raft id of the first member; the others draw theirs. */
const FOUNDER = 1;
/** A small log makes snapshots common, small pieces broken ones, a small window a full one. */
const SMALL_LIMITS = [
  {
    raftCompactEveryEntries: 30,
    raftLogKeepEntries: 8,
    raftLogHardMaxEntries: 80,
    raftInflightMessagesMax: 3,
    raftPeerQueueBytesMax: 20_000,
    raftPeerQueueMessagesMax: 16,
  },
  {
    raftCompactEveryEntries: 120,
    raftLogKeepEntries: 40,
    raftLogHardMaxEntries: 400,
    raftInflightMessagesMax: 12,
    raftMessageBytesMax: 1_000,
    raftInflightBytesMax: 3_000,
  },
  {
    // Slow enough for its line to break meanwhile. The log that it is followed by has to be kept.
    snapshotBytesPerSecondMax: 20_000,
    raftCompactEveryEntries: 30,
    raftLogKeepEntries: 8,
    raftInflightMessagesMax: 12,
  },
] as const;
const CHUNK_BYTES = 500;
/** All that a member stored is read again so often: at least once while most runs last. */
const SCRUB_EVERY_MS = 10_000;

/** Runs one seed: a cluster comes up, lives through faults for a while, and has to heal. */
export async function simulate(
  seed: number,
  secrets: Secrets,
  options: SimulationOptions,
): Promise<SimulationResult> {
  const random = new NestedRandom(seed);
  const restoreLimits = setLimits(random, options.profile);
  try {
    const stage = makeStage(seed, random, secrets, options);
    await play(stage, options.events);
    const { world, managers, schedule } = stage;
    return {
      seed,
      machines: managers.machines.length,
      events: world.timeline.ran,
      simulatedMs: world.timeline.nowMs,
      violations: world.checker.violations,
      struck: schedule.struck,
      counters: world.counters,
    };
  } finally {
    restoreLimits();
  }
}

/** Sets up all that there is; nothing happens yet. */
function makeStage(
  seed: number,
  random: Random,
  secrets: Secrets,
  options: SimulationOptions,
): Stage {
  const world = makeWorld(random, options.trace);
  const inWorld = (name: string): World => ({ ...world, random: random.stream(name) });
  const drawn = [3, 3, 5, 5, 7][random.below(5)]!;
  const count = options.profile?.machines ?? drawn;
  const numbers = Array.from({ length: count }, (_, number) => number);
  const machines = numbers.map(
    (number) => new Machine(number, inWorld(`machine ${number}`), () => numbers.map(addressOf)),
  );
  const managers = new Managers(inWorld('managers'), machines);
  // Every other seed has agents as well, and services on them.
  const agents = Array.from(
    { length: seed % 2 === 0 ? count + 1 : 0 },
    (_, at) => new SimAgent(at, count, inWorld(`agent ${at}`)),
  );
  const clients = new Clients(inWorld('clients'), machines);
  const operator = new Operator({ world: inWorld('operator'), managers, clients, secrets });
  const services = new Services({ ...inWorld('services'), agents, managers });
  const watcher = new EventWatcher(inWorld('watcher'), machines);
  const deps = { ...inWorld('faults'), managers, operator, agents };
  const schedule = new Schedule(deps, options);
  const { profile } = options;
  const rest = { clients, operator, services, watcher, schedule, agents, profile };
  return { world, secrets, managers, ...rest, random: random.stream('trial') };
}

function makeWorld(random: Random, trace: SimulationOptions['trace']): World {
  const timeline = new Timeline();
  const counters = new Counters();
  if (trace) counters.trace = (name) => trace(`${timeline.nowMs.toFixed(1)} ${name}`);
  const checker = new Checker(counters, () => {
    timeline.stopped = true;
  });
  const network = new SimNetwork(timeline, random.stream('network'), counters);
  network.onQueued = (from, bytes, frames) => {
    const isOver =
      bytes > LIMITS.raftPeerQueueBytesMax || frames >= LIMITS.raftPeerQueueMessagesMax;
    if (isOver)
      checker.fail(`machine ${from.machine}: ${frames} frames of ${bytes} bytes wait for one peer`);
  };
  // Only managers speak raft.
  network.onFrame = (from, frame) => checker.sent(from as ManagerProcess, frame);
  network.onArrived = (to, frame) => checker.received(to as ManagerProcess, frame);
  return { timeline, network, checker, counters, random };
}

/** A different size of the log for every seed. Returns what puts the limits back. */
function setLimits(random: Random, profile: Profile | undefined): () => void {
  const limits = LIMITS as { -readonly [K in keyof typeof LIMITS]: number };
  const before = { ...LIMITS };
  if (random.below(4) > 0) Object.assign(limits, SMALL_LIMITS[random.below(SMALL_LIMITS.length)]);
  limits.snapshotChunkBytesMax = CHUNK_BYTES;
  limits.scrubEveryMs = SCRUB_EVERY_MS;
  Object.assign(limits, profile?.limits);
  return () => {
    Object.assign(limits, before);
  };
}

async function play(stage: Stage, events: number): Promise<void> {
  const { world, managers, agents, services, clients, watcher, schedule, profile } = stage;
  const { timeline, checker } = world;
  await found(stage);
  for (const machine of managers.machines) machine.start();
  managers.start();
  await runUntil(timeline, SETUP_MS, () => managers.isWhole());
  if (!managers.isWhole()) checker.fail('the cluster did not come up');
  for (const agent of agents) agent.start();
  if (agents.length > 0) services.start();
  clients.start(profile?.clients ?? CLIENTS, profile?.readers ?? 0);
  watcher.start();
  schedule.start();
  await runUntil(timeline, Number.POSITIVE_INFINITY, () => timeline.ran >= events);
  schedule.stop();
  services.stop();
  if (checker.violations.length === 0) await heal(stage);
  clients.stop();
  watcher.stop();
  if (checker.violations.length === 0) judge(stage);
}

/** `swarm init` on the first machine; the others find no state, and join. */
async function found({ world, secrets, managers, agents }: Stage): Promise<void> {
  const [first] = managers.machines;
  const { nodeId, address } = first!;
  const founder = { nodeId, address, raftId: FOUNDER };
  const nodes = managers.machines.map((machine) => ({ nodeId: machine.nodeId, isManager: true }));
  for (const agent of agents) {
    if (nodes.every((node) => node.nodeId !== agent.nodeId))
      nodes.push({ nodeId: agent.nodeId, isManager: false });
  }
  const rows = foundingRows(founder, nodes, secrets.cluster);
  world.checker.begin(FIRST_EPOCH, FOUNDER, FIRST_INDEX, rows);
  let isFounded = false;
  void first!.found(founder, rows).then(() => {
    isFounded = true;
  });
  await runUntil(world.timeline, SETUP_MS, () => isFounded);
}

function judge({ world, clients }: Stage): void {
  const verdict = clients.judge();
  if (verdict === false) {
    world.checker.fail(`the history of the clients is not linearizable: ${clients.explain()}`);
  }
  world.counters.count(verdict === undefined ? 'history too open to judge' : 'history judged');
}
