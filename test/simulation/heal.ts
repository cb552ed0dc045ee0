import { majority } from '../../manager/raft/index.ts';
import type { Random } from '../../shared/random.ts';
import { differencesInMemory } from './check/tables.ts';
import type { Clients } from './cluster/clients.ts';
import type { EventWatcher } from './cluster/event-watcher.ts';
import type { Machine, World } from './cluster/machine.ts';
import type { Managers } from './cluster/managers.ts';
import type { Operator } from './cluster/operator.ts';
import type { Secrets } from './cluster/secrets.ts';
import type { Services } from './cluster/services.ts';
import type { SimAgent } from './cluster/sim-agent.ts';
import type { Timeline } from './engine/timeline.ts';
import type { Profile } from './profiles.ts';
import type { Schedule } from './schedule.ts';

/** All that there is in one run. */
export interface Stage {
  readonly world: World;
  readonly secrets: Secrets;
  readonly managers: Managers;
  readonly agents: readonly SimAgent[];
  readonly services: Services;
  readonly clients: Clients;
  readonly operator: Operator;
  readonly watcher: EventWatcher;
  readonly schedule: Schedule;
  readonly profile: Profile | undefined;
  readonly random: Random;
}

/** What still hangs, stands still or is at work when the faults end comes to itself within this time. */
const SETTLE_MS = 60_000;
/** Ten election timeouts. */
const ELECTION_MS = 10_000;
/** So many commits, everybody up to date, everything as wished. */
const LIVENESS_MS = 60_000;
const LIVENESS_COMMITS = 100;
const TRIAL_MS = 30_000;
const TRIAL_COMMITS = 10;
const FOR_LONG_MS = 600_000;

/**
 * Liveness. First a bare majority comes back, and must go on; then everybody, and all must be as it
 * should; then one more thing breaks that must not stop the others.
 */
export async function heal(stage: Stage): Promise<void> {
  const { checker } = stage.world;
  for (const step of [goOnWithMajority, goOnWithAll, endureTrial]) {
    if (checker.violations.length === 0) await step(stage);
  }
}

async function goOnWithMajority(stage: Stage): Promise<void> {
  const { world, managers, operator, random } = stage;
  const { timeline, checker, counters } = world;
  const isAwake = ({ pausedUntilMs, disk }: Machine): boolean =>
    Math.max(pausedUntilMs, disk.mood.hungUntilMs) <= timeline.nowMs;
  await runUntil(timeline, SETTLE_MS, () => !operator.isBusy && managers.machines.every(isAwake));
  const away = chooseAway(stage);
  if (away.length === 0) return;
  counters.count('majority alone');
  const isGone = random.below(2) === 0;
  for (const machine of away) {
    if (isGone) machine.isLocked = true;
    if (isGone) machine.crash();
    else isolate(stage, machine);
  }
  const rest = managers.machines.filter((machine) => !away.includes(machine));
  const voters = checker.history.config.voters;
  const areUp = (): boolean =>
    rest.every((machine) => machine.isUp || !voters.includes(machine.raftId));
  const leads = (): boolean => {
    const leader = managers.leader();
    return leader !== undefined && !away.includes(leader.machineOf);
  };
  if (!(await expect(stage, SETTLE_MS, areUp, 'a majority is not up'))) return;
  if (!(await expect(stage, ELECTION_MS, leads, 'a majority has no leader'))) return;
  await expect(stage, LIVENESS_MS, commits(stage, LIVENESS_COMMITS), 'a majority does not go on');
  world.network.heal();
  for (const machine of away) {
    machine.isLocked = false;
    machine.start();
  }
}

/**
 * Voters that raft can do without, whichever change of members each of them has applied; none when
 * it needs all that work.
 */
function chooseAway({ world, managers, random }: Stage): Machine[] {
  const voters = world.checker.history.config.voters;
  if (managers.isShrinking) return [];
  const sound = managers.machines.filter(
    (machine) => voters.includes(machine.raftId) && !machine.isSpoilt,
  );
  const spare = sound.length - majority(voters.length);
  const away: Machine[] = [];
  for (const machine of sound) {
    if (away.length < spare && random.below(2) === 0) away.push(machine);
  }
  const rest = sound.filter((machine) => !away.includes(machine)).map(({ raftId }) => raftId);
  const known = managers.machines.flatMap(({ isUp, process }) =>
    isUp ? [process!.confState.voters] : [],
  );
  const isQuorum = (ids: readonly number[]): boolean =>
    ids.filter((id) => rest.includes(id)).length >= majority(ids.length);
  return known.every(isQuorum) ? away : [];
}

async function goOnWithAll(stage: Stage): Promise<void> {
  const { managers, agents, services, watcher } = stage;
  const isGoingOn = commits(stage, LIVENESS_COMMITS);
  const isRight = (): boolean => {
    const leader = managers.leader();
    return agents.length === 0 || (leader !== undefined && services.problem(leader) === '');
  };
  const isHealed = (): boolean =>
    isGoingOn() && managers.isWhole() && isRight() && watcher.isCurrent;
  if (!(await expect(stage, LIVENESS_MS, isHealed, 'not healed'))) return;
  compareMemories(stage);
}

function compareMemories({ managers, world }: Stage): void {
  const memories = managers.machines.flatMap(({ isUp, process }) =>
    isUp && process ? [{ name: process.name, epoch: process.epoch, view: process.store.view }] : [],
  );
  const moments = new Set(memories.map(({ epoch, view }) => `${epoch}/${view.index}`));
  world.counters.count('memory compared', memories.length - moments.size);
  for (const difference of differencesInMemory(memories)) world.checker.fail(difference);
}

/** What must not stop the others for longer than it takes to elect a leader. */
interface Trial {
  readonly name: string;
  readonly begin: (stage: Stage, leader: Machine) => void;
}
const TRIALS: readonly Trial[] = [
  {
    name: "the leader's disk hangs",
    begin: ({ world }, leader) => {
      leader.disk.mood.hungUntilMs = world.timeline.nowMs + FOR_LONG_MS;
    },
  },
  { name: 'the leader hears nobody', begin: (stage, leader) => deafen(stage, leader, true) },
  { name: 'nobody hears the leader', begin: (stage, leader) => deafen(stage, leader, false) },
  {
    name: 'a link of the leader is cut',
    begin: ({ world, managers }, { number }) => {
      const other = (number + 1) % managers.machines.length;
      const untilMs = world.timeline.nowMs + FOR_LONG_MS;
      world.network.cut(number, other, untilMs);
      world.network.cut(other, number, untilMs);
    },
  },
  { name: 'the leader is gone', begin: (_stage, leader) => leader.crash() },
  {
    name: 'the leader stands still',
    begin: ({ world, random }, leader) => {
      leader.pausedUntilMs = world.timeline.nowMs + [1_500, 4_000, FOR_LONG_MS][random.below(3)]!;
    },
  },
];

/** What only a profile asks for, by name. */
const TRIALS_ON_REQUEST: readonly Trial[] = [
  {
    name: 'the next leader dies while it takes over',
    begin: ({ managers }, { process, raftId }) => {
      const isNext = (machine: Machine): boolean => machine.isUp && machine.raftId !== raftId;
      const next = managers.machines.find(isNext);
      if (!next) return;
      void process?.driver.transferLeadership(next.raftId).catch(() => undefined);
      next.isLocked = true;
      next.crash();
    },
  },
];

async function endureTrial(stage: Stage): Promise<void> {
  const { world, managers, random, profile } = stage;
  const drawn = TRIALS[random.below(TRIALS.length)]!;
  const trial = TRIALS_ON_REQUEST.find(({ name }) => name === profile?.trial) ?? drawn;
  const leader = managers.leader();
  // Two cannot spare one.
  if (!leader || world.checker.history.config.voters.length < 3) return;
  world.counters.count(`trial: ${trial.name}`);
  trial.begin(stage, leader.machineOf);
  await expect(
    stage,
    TRIAL_MS,
    commits(stage, TRIAL_COMMITS),
    `no progress although ${trial.name}`,
  );
}

function commits({ clients }: Stage, count: number): () => boolean {
  const answered = clients.answered;
  return () => clients.answered >= answered + count;
}

function isolate(stage: Stage, machine: Machine): void {
  deafen(stage, machine, true);
  deafen(stage, machine, false);
}
/** It speaks and does not hear, or the other way round. */
function deafen({ world, managers }: Stage, machine: Machine, isInward: boolean): void {
  const untilMs = world.timeline.nowMs + FOR_LONG_MS;
  for (const { number } of managers.machines) {
    if (number === machine.number) continue;
    if (isInward) world.network.cut(number, machine.number, untilMs);
    else world.network.cut(machine.number, number, untilMs);
  }
}

/** True when it came to be; else that is a finding, unless there is one already. */
async function expect(
  stage: Stage,
  withinMs: number,
  holds: () => boolean,
  complaint: string,
): Promise<boolean> {
  const { timeline, checker } = stage.world;
  await runUntil(timeline, withinMs, holds);
  if (checker.violations.length > 0) return false;
  if (holds()) return true;
  checker.fail(`${complaint} after ${withinMs} ms: ${describe(stage)}`);
  return false;
}

/** Lets events run until it holds. */
export async function runUntil(
  timeline: Timeline,
  forMs: number,
  holds: () => boolean,
): Promise<void> {
  let isDone = false;
  await timeline.run(timeline.nowMs + forMs, () => {
    if (!holds()) return;
    isDone = true;
    timeline.stopped = true;
  });
  if (isDone) timeline.stopped = false;
}

/** Where everybody stands: for whoever reads a finding. */
function describe({ managers, agents, services }: Stage): string {
  const leader = managers.leader();
  const states = managers.machines.map(({ number, process, raftId, isSpoilt }) => {
    const head = `${number}: ${raftId}${isSpoilt ? ' spoilt' : ''}`;
    if (!process?.isReady) return `${head} ${process ? 'opening' : 'down'}`;
    const { state, term } = process.driver.status();
    const { voters } = process.confState;
    return `${head} epoch ${process.epoch} applied ${process.appliedIndex} ${state} term ${term} [${voters}]`;
  });
  const nodes = agents.map((agent) => `${agent.nodeId} ${agent.isConnected ? 'on' : 'off'}`);
  const tasks = [...(leader?.store.view.table('task').all() ?? [])].map((task) => {
    const status = leader?.store.view.table('taskStatus').get(task.id);
    const name = `${task.serviceId.slice(0, 3)}.${task.slot}@${task.nodeId}`;
    return `${name} r${task.revision} ${task.desiredState}/${status?.state} ${task.pendingReason}`;
  });
  const rollouts = [...(leader?.store.view.table('service').all() ?? [])].map((service) => {
    const state = leader?.store.view.table('serviceState').get(service.id);
    const { replicas, name } = service.spec!;
    const rollout = `${state?.rollout?.state} ${state?.rollout?.message}`;
    const runs = `runs r${state?.runningRevision} ${rollout} ${state?.quarantine}`;
    return `${name} ${service.id.slice(0, 3)} r${service.revision} x${replicas} ${runs}`;
  });
  const members = [...(leader?.store.view.table('member').all() ?? [])].map(
    ({ id, raftId, phase, message }) => `${id} ${raftId} ${phase} ${message}`,
  );
  const problem = leader && agents.length > 0 ? services.problem(leader) : '';
  const lines = [
    problem,
    `leader ${leader?.raftId}`,
    ...states,
    ...members,
    ...nodes,
    ...rollouts,
    ...tasks,
  ];
  return lines.filter((line) => line !== '').join('; ');
}
