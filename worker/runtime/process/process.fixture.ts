import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { AssignedTask, type Init, Resources, TaskSpec, TaskState } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { parseGenericOffers } from '../../../shared/generic-resources.ts';
import { SystemRandom } from '../../../shared/random.ts';
import { CutIo } from '../../cut-io.fixture.ts';
import { insideCommand } from '../../inside/inside.fixture.ts';
import { SystemIo } from '../../system-io.ts';
import { GenericUnits } from '../generic-units.ts';
import type { CommandKind, Life, RuntimeWorld, TaskKind } from '../runtime.contract.ts';
import { Cgroups, cgroupName } from './cgroups.ts';
import { ProcessRuntime, type ProcessRuntimeDeps } from './process-runtime.ts';

const UNITS = parseGenericOffers(['gpu=G1,G2', 'ssd=3'], () => undefined)!;

/** For tests: a process runtime on this machine, in a directory of its own. */
export class ProcessWorld implements RuntimeWorld {
  readonly stateDir = mkdtempSync(join(tmpdir(), 'swarm-process-'));
  readonly uid = process.getuid?.() ?? -1;
  readonly #patch: Partial<ProcessRuntimeDeps>;
  readonly #clock = new SystemClock();
  #tasks = 0;

  constructor(patch: Partial<ProcessRuntimeDeps> = {}) {
    this.#patch = patch;
  }
  deps(io: ProcessRuntimeDeps['io'] = new SystemIo(this.#clock)): ProcessRuntimeDeps {
    return {
      io,
      clock: this.#clock,
      random: new SystemRandom(),
      stateDir: this.stateDir,
      node: { id: 'node1', hostname: 'here', architecture: 'amd64' },
      publishHost: '127.0.0.1',
      pathDirs: [],
      portsDirectory: join(this.stateDir, 'ports'),
      tmpdir: tmpdir(),
      uid: this.uid,
      gid: process.getgid?.() ?? -1,
      allowProcess: true,
      inside: insideCommand(),
      logDirectory: (taskId) => join(this.stateDir, 'logs', taskId),
      units: new GenericUnits(io, join(this.stateDir, 'units'), UNITS),
      ...this.#patch,
    };
  }
  async open(cutAt = Number.POSITIVE_INFINITY): Promise<Life> {
    const io = new CutIo(new SystemIo(this.#clock), cutAt);
    const runtime = new ProcessRuntime(this.deps(io));
    const life = {
      runtime,
      dead: () => io.dead,
      trace: () => io.trace.at(-1) ?? '',
      async kill() {
        io.die();
        await runtime.close();
      },
    };
    try {
      await runtime.open();
    } catch (error) {
      await life.kill();
      throw error;
    }
    return life;
  }
  /** Every start of a task leaves a line in a file of its own. */
  command(text: string, init: Init<AssignedTask> = {}, spec: object = {}): AssignedTask {
    this.#tasks++;
    const id = `${basename(this.stateDir)}-${this.#tasks}`;
    const script = `echo started >> ${this.#file('starts', id)}; ${text}`;
    const ready = `: > ${this.#file('ready', id)}`;
    const command = ['/bin/sh', '-c', script.replace('READY', ready)];
    const user = globalThis.process.getuid?.() === 0 ? '0' : '';
    const process = { command, user, stopGraceMs: 10_000, ...spec };
    return AssignedTask.create({
      id,
      serviceName: 'web',
      slot: 2,
      revision: 3,
      desiredState: TaskState.RUNNING,
      spec: { process },
      ports: [{ target: 80 }],
      ...init,
    });
  }
  task(kind: TaskKind): AssignedTask {
    const task = this.command(TEXTS[kind], {}, kind === 'stubborn' ? { stopGraceMs: 50 } : {});
    const limits = LIMITS[kind];
    if (limits === undefined) return task;
    return AssignedTask.with(task, { spec: TaskSpec.with(task.spec!, { limits }) });
  }
  async ready(task: AssignedTask): Promise<void> {
    await this.until(() => existsSync(this.#file('ready', task.id)));
  }
  async until(holds: () => boolean): Promise<void> {
    const endMs = this.#clock.monotonicMs() + 8_000;
    while (!holds()) {
      if (this.#clock.monotonicMs() > endMs) throw new Error('never came');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  isEndless(task: AssignedTask): boolean {
    return task.spec?.process?.command.at(-1)?.includes('exit 3') === false;
  }
  starts(task: AssignedTask): number {
    const file = this.#file('starts', task.id);
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  }
  processes(task: AssignedTask): number {
    return this.pids(task).length;
  }
  /** By the environment that they were started with; supervisors are not counted. */
  pids(task: AssignedTask): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const cmdline = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
          // In this order: what ends between the two has no environment any more.
          const environ = readFileSync(`/proc/${pid}/environ`, 'utf8');
          const supervisor = cmdline.includes(this.stateDir) && cmdline.includes('supervise-');
          return environ.includes(`SWARM_TASK_ID=${task.id}\0`) && !supervisor;
        } catch {
          return false;
        }
      });
  }
  taskPid(task: AssignedTask): number {
    return Number(
      readFileSync(join(this.stateDir, 'run', `${task.id}.task`), 'utf8').split(' ')[0],
    );
  }
  supervisorPid(task: AssignedTask): number {
    return Number(readFileSync(join(this.stateDir, 'run', `${task.id}.pid`), 'utf8').split(' ')[0]);
  }
  async killTask(task: AssignedTask): Promise<void> {
    process.kill(this.taskPid(task), 'SIGKILL');
    await this.until(() => existsSync(join(this.stateDir, 'run', `${task.id}.exit-137`)));
  }
  written(task: AssignedTask): string {
    const path = join(this.stateDir, 'logs', task.id, 'out');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
  words(kind: CommandKind): readonly string[] {
    return WORDS[kind];
  }
  leftovers(): readonly string[] {
    const names = ['run', 'ports', 'work'].flatMap((name) => {
      const directory = join(this.stateDir, name);
      return existsSync(directory) ? readdirSync(directory) : [];
    });
    return [...names.filter((name) => !name.startsWith('supervise-')), ...this.#groups()];
  }
  /** Control groups of tasks, wherever this daemon may make them. */
  #groups(): readonly string[] {
    const inside = ['-type', 'd', '-path', `*/${cgroupName(this.stateDir)}/*`];
    // Groups of others that go meanwhile are no error of this look.
    const { stdout } = spawnSync('find', ['/sys/fs/cgroup', ...inside], { encoding: 'utf8' });
    return stdout.split('\n').filter(Boolean);
  }
  async close(): Promise<void> {
    // A life that was cut could not take its control groups away.
    const cgroups = new Cgroups(new SystemIo(this.#clock), this.uid, this.stateDir);
    cgroups.open();
    cgroups.close();
    rmSync(this.stateDir, { recursive: true, force: true });
  }
  #file(what: string, id: string): string {
    return join(this.stateDir, `${what}-${id}`);
  }
}

/** Words of commands in a task. */
const WORDS: { readonly [kind in CommandKind]: readonly string[] } = {
  both: ['/bin/sh', '-c', 'echo to-out; echo to-err >&2; exit 7'],
  cat: ['cat'],
  mark: ['/bin/sh', '-c', 'echo "$MARK"'],
  size: ['/bin/sh', '-c', 'trap "stty size" WINCH; stty size; while :; do sleep 0.05; done'],
  hang: ['/bin/sh', '-c', 'echo READY; sleep 1000 & while :; do sleep 1000; done'],
  missing: ['/no/such/command'],
};

/** Those of `run` are there to be seen left behind. */
const LIMITS: { readonly [kind in TaskKind]?: Resources } = {
  run: Resources.create({ memoryBytes: 64 << 20, nanoCpus: 2e9, pids: 100 }),
  hungry: Resources.create({ memoryBytes: 32 << 20 }),
};

/** `READY` stands for the command that tells that the script has come so far. */
const TEXTS: { readonly [kind in TaskKind]: string } = {
  run: 'READY; exec sleep 1000',
  exit3: 'READY; exit 3',
  stubborn: 'trap "" TERM; READY; while :; do sleep 0.05; done',
  escaping: 'setsid sleep 1000 & READY; exec sleep 1000',
  hungry: 'READY; sleep 0.5; exec dd if=/dev/zero of=/dev/null bs=90M',
  talk: 'READY; i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done',
};
