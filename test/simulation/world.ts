import { FIRST_INDEX } from '../../manager/raft/index.ts';
import type { RowChange } from '../../manager/replication.ts';
import { Member, Role } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import { Admin } from './admin.ts';
import { Checker } from './checker.ts';
import { Clients } from './clients.ts';
import { Counters } from './counters.ts';
import { Faults } from './faults.ts';
import { Machine, type ManagerProcess } from './machine.ts';
import { NestedRandom } from './nested-random.ts';
import { Services } from './services.ts';
import { SimAgent } from './sim-agent.ts';
import { SimNetwork } from './sim-network.ts';
import { Timeline } from './timeline.ts';

export interface SimulationResult {
  readonly seed: number;
  readonly machines: number;
  readonly events: number;
  readonly simulatedMs: number;
  /** Empty: all that was promised was kept. */
  readonly violations: readonly string[];
  readonly counters: Counters;
}

export const EVENTS_DEFAULT = 20_000;
const CLIENTS = 4;
/** After everything healed: so long for a leader, every member up to date, and some commits. */
const LIVENESS_MS = 60_000;
const LIVENESS_COMMITS = 100;
const TRIAL_MS = 30_000;
const TRIAL_COMMITS = 10;
const SETUP_MS = 60_000;
const SMALL_LIMITS = [
  { raftCompactEveryEntries: 30, raftLogKeepEntries: 8, raftLogHardMaxEntries: 80 },
  { raftCompactEveryEntries: 120, raftLogKeepEntries: 40, raftLogHardMaxEntries: 400 },
] as const;

interface Simulation {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly counters: Counters;
  readonly random: Random;
  readonly machines: readonly Machine[];
  readonly admin: Admin;
  readonly clients: Clients;
  readonly faults: Faults;
  readonly services: Services;
  readonly agents: readonly SimAgent[];
  /** Whoever leads at this moment. */
  readonly leader: Machine;
}

/** Runs one seed: a cluster comes up, lives through faults for `events` events, and has to heal. */
export async function simulate(
  seed: number,
  events: number = EVENTS_DEFAULT,
  trace?: (line: string) => void,
): Promise<SimulationResult> {
  const random = new NestedRandom(seed);
  const timeline = new Timeline();
  const counters = new Counters();
  if (trace) counters.trace = (name) => trace(`${timeline.nowMs.toFixed(1)} ${name}`);
  const checker = new Checker(counters, () => {
    timeline.stopped = true;
  });
  const network = new SimNetwork(timeline, random.stream('network'), counters);
  network.onFrame = (from, frame) => checker.sent(from as ManagerProcess, frame);
  const count = [3, 3, 5, 5, 7][random.below(5)]!;
  const restore = setLimits(random);
  const deps = { timeline, network, checker, counters };
  const machines = Array.from(
    { length: count },
    (_, number) => new Machine(number, { ...deps, random: random.stream(`machine ${number}`) }),
  );
  const admin = new Admin({ timeline, counters, random: random.stream('admin'), machines });
  // Every other seed has agents as well, and services on them.
  const agents = Array.from(
    { length: seed % 2 === 0 ? count + 1 : 0 },
    (_, at) => new SimAgent(at, count, { ...deps, random: random.stream(`agent ${at}`) }),
  );
  const services = new Services({ ...deps, agents, admin, random: random.stream('services') });
  const clients = new Clients({ ...deps, machines, random: random.stream('clients') });
  try {
    startCluster(machines, admin, checker);
    await runUntil(timeline, SETUP_MS, () => isWhole(machines, admin));
    if (!isWhole(machines, admin) && checker.violations.length === 0)
      checker.fail('the cluster did not come up');
    for (const agent of agents) agent.start();
    const leader = admin.leader();
    if (agents.length > 0 && leader) await settled(timeline, services.nodes(leader));
    if (agents.length > 0) services.start();
    const faults = new Faults({
      ...deps,
      machines,
      admin,
      agents,
      random: random.stream('faults'),
    });
    clients.start(CLIENTS);
    faults.start();
    await runUntil(timeline, Number.POSITIVE_INFINITY, () => timeline.ran >= events);
    faults.stop();
    await heal({
      ...deps,
      machines,
      admin,
      clients,
      faults,
      services,
      agents,
      random: random.stream('trial'),
      get leader() {
        return admin.leader()?.machineOf ?? machines[0]!;
      },
    });
  } finally {
    restore();
  }
  judge(clients, checker, counters);
  return {
    seed,
    machines: count,
    events: timeline.ran,
    simulatedMs: timeline.nowMs,
    violations: checker.violations,
    counters,
  };
}

/** A small log makes snapshots common. */
function setLimits(random: Random): () => void {
  const limits = LIMITS as { -readonly [K in keyof typeof LIMITS]: number };
  const before = { ...LIMITS };
  if (random.below(4) > 0) Object.assign(limits, SMALL_LIMITS[random.below(2)]);
  limits.snapshotChunkBytesMax = 500;
  return () => {
    Object.assign(limits, before);
  };
}

function startCluster(machines: readonly Machine[], admin: Admin, checker: Checker): void {
  for (const machine of machines) {
    const raftId = admin.newRaftId();
    const isFirst = machine === machines[0];
    const rows = isFirst ? [firstRow(machine, raftId)] : undefined;
    if (rows) checker.bootstrapped(rows);
    const peers = isFirst ? [] : [{ ...peerOf(machines[0]!), raftId: machines[0]!.raftId }];
    void machine.create(raftId, peers, rows).then(() => machine.start());
  }
  admin.start();
}

/** The first member says where it is. */
function firstRow({ nodeId: id, address }: Machine, raftId: number): RowChange {
  const row = Member.create({ id, raftId, address, role: Role.MANAGER });
  return {
    table: 'member',
    id,
    version: FIRST_INDEX,
    bytes: Member.encode(row),
    secret: false,
  };
}

function peerOf(machine: Machine) {
  return { raftId: machine.raftId, nodeId: machine.nodeId, address: machine.address };
}

/** Everybody up, a voter, and as far as the leader. */
function isWhole(machines: readonly Machine[], admin: Admin): boolean {
  const leader = admin.leader();
  if (!leader) return false;
  const { voters, learners } = leader.confState;
  if (voters.length !== machines.length || learners.length > 0) return false;
  return machines.every(
    (machine) =>
      machine.isUp &&
      voters.includes(machine.raftId) &&
      machine.process!.appliedIndex >= leader.appliedIndex - 5,
  );
}

/** Lets events run until the promise has ended, however. */
function settled(timeline: Timeline, promise: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  return runUntil(timeline, SETUP_MS, () => isOver);
}

function runUntil(timeline: Timeline, forMs: number, holds: () => boolean): Promise<void> {
  let isDone = false;
  return timeline
    .run(timeline.nowMs + forMs, () => {
      if (!holds()) return;
      isDone = true;
      timeline.stopped = true;
    })
    .then(() => {
      if (isDone) timeline.stopped = false;
    });
}

/** Everything works again: the cluster must, too. Then one more thing breaks, and it must go on. */
async function heal(all: Simulation): Promise<void> {
  const { timeline, machines, admin, clients, checker } = all;
  if (checker.violations.length > 0) return;
  const answered = clients.answered;
  all.services.stop();
  const isRight = (): boolean => {
    const leader = admin.leader();
    return all.agents.length === 0 || (leader !== undefined && all.services.problem(leader) === '');
  };
  const isHealed = (): boolean =>
    clients.answered >= answered + LIVENESS_COMMITS && isWhole(machines, admin) && isRight();
  await runUntil(timeline, LIVENESS_MS, isHealed);
  if (checker.violations.length > 0) return;
  if (isHealed()) await endure(all);
  else checker.fail(`not healed in ${LIVENESS_MS} ms: ${describe(all)}`);
}

/** What must not stop the others for longer than it takes to elect a leader. */
const TRIALS: readonly { readonly name: string; readonly begin: (all: Simulation) => void }[] = [
  {
    name: "the leader's disk hangs",
    begin: ({ leader, timeline }) => {
      leader.disk.mood.hungUntilMs = timeline.nowMs + 10 * TRIAL_MS;
    },
  },
  { name: 'the leader hears nobody', begin: ({ faults, leader }) => faults.deafen(leader, true) },
  { name: 'nobody hears the leader', begin: ({ faults, leader }) => faults.deafen(leader, false) },
  { name: 'a link of the leader is cut', begin: ({ faults, leader }) => faults.cutOneLink(leader) },
  { name: 'the leader is gone', begin: ({ leader }) => leader.crash() },
  { name: 'the leader stands still', begin: ({ faults, leader }) => faults.pause(leader) },
];

async function endure(all: Simulation): Promise<void> {
  const { timeline, clients, checker, counters, random } = all;
  const trial = TRIALS[random.below(TRIALS.length)]!;
  counters.count(`trial: ${trial.name}`);
  trial.begin(all);
  const answered = clients.answered;
  const goesOn = (): boolean => clients.answered >= answered + TRIAL_COMMITS;
  await runUntil(timeline, TRIAL_MS, goesOn);
  if (checker.violations.length > 0 || goesOn()) return;
  checker.fail(`no progress in ${TRIAL_MS} ms although ${trial.name}: ${describe(all)}`);
}

function describe({ admin, machines, agents, services }: Simulation): string {
  const leader = admin.leader();
  const states = machines.map(({ number, process, raftId, needsNewId }) =>
    process?.isReady
      ? `${number}: ${raftId} applied ${process.appliedIndex} ${process.driver.status().state} ` +
        `term ${process.driver.status().term} ${JSON.stringify(process.confState.voters)}`
      : `${number}: ${raftId} ${needsNewId ? 'needs a new id' : process ? 'opening' : 'down'}`,
  );
  const nodes = agents.map((agent) => `${agent.nodeId} ${agent.isConnected ? 'on' : 'off'}`);
  const tasks = [...(leader?.store.view.table('task').all() ?? [])].map((task) => {
    const status = leader?.store.view.table('taskStatus').get(task.id);
    const name = `${task.serviceId.slice(0, 3)}.${task.slot}@${task.nodeId}`;
    return `${name} ${task.desiredState}/${status?.state} ${task.pendingReason}`;
  });
  const members = JSON.stringify(leader?.driver.status().members);
  const problem = leader && agents.length > 0 ? services.problem(leader) : '';
  return (
    `${problem}; leader ${leader?.raftId}, members ${members}; ${states.join('; ')}; ` +
    `${nodes.join(', ')}; ${tasks.join(', ')}`
  );
}

function judge(clients: Clients, checker: Checker, counters: Counters): void {
  clients.stop();
  if (checker.violations.length > 0) return;
  const verdict = clients.judge();
  if (verdict === false) checker.violations.push('the history of the clients is not linearizable');
  counters.count(verdict === undefined ? 'history too open to judge' : 'history judged');
}
