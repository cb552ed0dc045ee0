import { AssignedTask } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { Cut } from '../../cut-io.fixture.ts';
import {
  type CommandKind,
  type Life,
  type RuntimeWorld,
  runtimeContract,
  type TaskKind,
} from '../runtime.contract.ts';
import { FakeMachine } from './fake-machine.ts';
import { FakeRuntime } from './fake-runtime.ts';

const COMMANDS: { readonly [kind in TaskKind]: readonly string[] } = {
  run: ['run'],
  exit3: ['exit', '3'],
  stubborn: ['stubborn'],
  escaping: ['escaping'],
  hungry: ['hungry'],
  talk: ['talk'],
};

const WORDS: { readonly [kind in CommandKind]: readonly string[] } = {
  both: ['both', '7'],
  cat: ['cat'],
  mark: ['env', 'MARK'],
  size: ['size'],
  hang: ['hang'],
  missing: ['missing'],
};

runtimeContract('fake', async (): Promise<RuntimeWorld> => {
  const machine = new FakeMachine(new SystemClock());
  let tasks = 0;
  return {
    async open(cutAt = Number.POSITIVE_INFINITY): Promise<Life> {
      let steps = 0;
      let dead = false;
      let last = '';
      const runtime = new FakeRuntime(machine, '127.0.0.1', (what) => {
        steps++;
        last = what;
        if (steps >= cutAt) dead = true;
        if (dead) throw new Cut(what);
      });
      return {
        runtime,
        dead: () => dead,
        trace: () => last,
        async kill() {
          dead = true;
        },
      };
    },
    task(kind) {
      tasks++;
      const process = { command: COMMANDS[kind], stopGraceMs: kind === 'stubborn' ? 50 : 10_000 };
      return AssignedTask.create({ id: `task${tasks}`, spec: { process } });
    },
    async ready() {},
    isEndless: (task) => task.spec?.process?.command[0] !== 'exit',
    starts: (task) => machine.starts(task.id),
    processes(task) {
      if (!machine.isRunning(task.id)) return 0;
      return task.spec?.process?.command[0] === 'escaping' ? 2 : 1;
    },
    async killTask(task) {
      machine.kill(task.id);
    },
    words: (kind) => WORDS[kind],
    written: () => undefined,
    leftovers: () => machine.ids,
    async close() {},
  };
});
