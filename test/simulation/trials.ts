import type { Machine } from './cluster/machine.ts';
import type { Stage } from './stage.ts';

const FOR_LONG_MS = 600_000;

/** What must not stop the others for longer than it takes to elect a leader. */
export interface Trial {
  readonly name: string;
  readonly begin: (stage: Stage, leader: Machine) => void;
}
export const TRIALS: readonly Trial[] = [
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
export const TRIALS_ON_REQUEST: readonly Trial[] = [
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

/** It neither speaks nor hears. */
export function isolate(stage: Stage, machine: Machine): void {
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
