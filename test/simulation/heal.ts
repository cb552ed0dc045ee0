import { majority } from '../../manager/raft/index.ts';
import { differencesInMemory } from './check/tables.ts';
import type { Machine } from './cluster/machine.ts';
import type { Timeline } from './engine/timeline.ts';
import { isQuorum } from './spare.ts';
import { describe, type Stage } from './stage.ts';
import { isolate, TRIALS, TRIALS_ON_REQUEST } from './trials.ts';

/** What still hangs, stands still or is at work when the faults end comes to itself within this time. */
const SETTLE_MS = 60_000;
/** Ten election timeouts. */
const ELECTION_MS = 10_000;
/** So many commits, everybody up to date, everything as wished. */
const LIVENESS_MS = 60_000;
const LIVENESS_COMMITS = 100;
const TRIAL_MS = 30_000;
const TRIAL_COMMITS = 10;

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
  const { world, managers, random } = stage;
  const { timeline, checker, counters } = world;
  await runUntil(timeline, SETTLE_MS, () => isAwake(stage));
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

/** Nothing stands still or hangs, and no operator is at work. */
function isAwake({ world, managers, agents, operator }: Stage): boolean {
  const { nowMs } = world.timeline;
  const areUp = managers.machines.every(
    ({ pausedUntilMs, disk }) => Math.max(pausedUntilMs, disk.mood.hungUntilMs) <= nowMs,
  );
  return areUp && agents.every(({ pausedUntilMs }) => pausedUntilMs <= nowMs) && !operator.isBusy;
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
  const rest = new Set(sound.filter((machine) => !away.includes(machine)).map((m) => m.raftId));
  return managers.group.electorates.every((voters) => isQuorum(voters, rest)) ? away : [];
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
