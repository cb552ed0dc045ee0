import type { Random } from '../../shared/random.ts';
import { DATABASE, STATE } from './cluster/machine.ts';
import { Fault, type FaultDeps } from './fault.ts';

/** Does it, or begins to; false: as things are, it could do nothing. */
type Strike = (f: Fault) => boolean;

/** Everything that may go wrong. A seed draws some of them, and how often. */
const FAULTS: { readonly [name: string]: Strike } = {
  'partition in two': (f) => f.partition(),
  'machine cut off': (f) => f.cutOff(f.any(), true, true),
  'machine cut off one way': (f) => f.cutOff(f.any(), f.coin(), undefined),
  'leader cut off': (f) => f.cutOff(f.leaderOrAny(), true, true),
  'leader cut off one way': (f) => f.cutOff(f.leaderOrAny(), f.coin(), undefined),
  'link cut': (f) => f.cutLink(),
  'connections reset': (f) => f.resetConnections(),
  crash: (f) => f.crash(f.any()),
  'leader crash': (f) => f.crash(f.leaderOrAny()),
  'crash at a step of the disk': (f) => f.crashAtStep(f.leaderOrAny()),
  'power cut': (f) => f.machines.filter((machine) => f.crash(machine)).length > 1,
  'fault at a rare moment': (f) => f.strikeAtMoment(),
  pause: (f) => f.pause(f.any()),
  'leader pause': (f) => f.pause(f.leaderOrAny()),
  'slow machine': (f) => f.creep(f.any()),
  'slow disk': (f) => f.slowDisk(f.any()),
  'hung disk': (f) => f.hangDisk(f.leaderOrAny()),
  'failing disk': (f) => f.failDisk(f.leaderOrAny()),
  'full disk': (f) => f.fillDisk(f.any(), 'none'),
  'nearly full disk': (f) => f.fillDisk(f.leaderOrAny(), 'little'),
  'bit flip': (f) => f.spoil(f.any(), (machine) => machine.disk.flipBit(DATABASE)),
  'bit flip in a file': (f) =>
    f.spoil(f.any(), (machine) =>
      machine.disk.flipFile(`${STATE}/${f.pick(['vote.a', 'vote.b', 'data.key'])}`),
    ),
  'bit flip while it runs': (f) => f.rot(f.any()),
  'lost stretch of the log': (f) => f.spoil(f.any(), (machine) => machine.disk.dropBytes(DATABASE)),
  'wiped machine': (f) => f.spoil(f.any(), (machine) => f.wipe(machine)),
  'node demoted': (f) => f.demote(f.any()),
  'leader demoted': (f) => f.demote(f.leaderOrAny()),
  'transfer of leadership': (f) => f.transfer(),
  'orderly restart': (f) => f.restart(f.any()),
  'rolling restart': (f) => f.rollingRestart(() => undefined),
  'rolling change of the release': (f) => f.changeRelease(f.coin()),
  'backup taken': (f) => f.takeBackup(f.any()),
  'cluster recovered': (f) => f.deps.operator.recover(f.any()),
  'cluster restored': (f) => f.deps.operator.restore(f.any()),
  'agent killed': (f) => f.crashAgent(false),
  'power of an agent lost': (f) => f.crashAgent(true),
  'agent pause': (f) => f.pauseAgent(),
  'agent cut off': (f) => f.cutOffAgent(),
};
export const FAULT_NAMES: readonly string[] = Object.keys(FAULTS);

/** What only profiles ask for (profiles.ts), by name. */
const FAULTS_ON_REQUEST: { readonly [name: string]: Strike } = {
  'two short reigns': (f) => f.shortenReigns(),
};

/** Lets it strike, and counts it where it could do something. */
export function strike(name: string, deps: FaultDeps, random: Random): void {
  const begin = FAULTS[name] ?? FAULTS_ON_REQUEST[name]!;
  if (begin(new Fault(deps, random))) deps.counters.count(`fault: ${name}`);
}
