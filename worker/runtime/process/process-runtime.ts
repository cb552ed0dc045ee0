import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { AssignedTask, type TaskUsage } from '../../../proto/index.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Random } from '../../../shared/random.ts';
import type { InsideCommand } from '../../inside/dialer.ts';
import type { Io } from '../../io.ts';
import type { AdoptedTask, Runtime, RuntimeFeatures } from '../../runtime.ts';
import type { GenericUnits } from '../generic-units.ts';
import type { TemplateNode } from '../templates.ts';
import { Cgroups, type LimitSupport } from './cgroups.ts';
import { bootId } from './identity.ts';
import { findPidNamespace, findTools } from './isolation.ts';
import { type BindProbe, Ports } from './ports.ts';
import { ProcessController } from './process-controller.ts';
import type { ProcessShared } from './process-shared.ts';
import { usageOfProcesses } from './process-usage.ts';
import { RunDirectory } from './run-directory.ts';
import { installSupervisor } from './supervisor.ts';
import { EXEC_MARK, Sweeper } from './sweep.ts';

export interface ProcessRuntimeDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly stateDir: string;
  readonly node: TemplateNode;
  /** Address without a port, at which this node's task ports answer. */
  readonly publishHost: string;
  /** Go before the system's own directories in every task's PATH. */
  readonly pathDirs: readonly string[];
  /** Shared by all daemons of this user on the machine, e.g. /tmp/swarm-ports-UID. */
  readonly portsDirectory: string;
  /** TMPDIR of tasks. */
  readonly tmpdir: string;
  readonly uid: number;
  readonly gid: number;
  /** A root daemon starts processes only when its operator said so. */
  readonly allowProcess: boolean;
  /** Where a task's output goes: files `out` and `err` in this directory. */
  readonly logDirectory: (taskId: string) => string;
  /** `never`: as on a machine whose kernel refuses it. */
  readonly pidNamespaces?: 'try' | 'never';
  readonly bindProbe?: BindProbe;
  /** Of this node: those of all runtimes. */
  readonly units: GenericUnits;
  /** The helper that works in a task's files. */
  readonly inside: InsideCommand;
}

/** Commands of the host, each under a supervisor that outlives this daemon. */
export class ProcessRuntime implements Runtime {
  readonly name = 'process';
  readonly #deps: ProcessRuntimeDeps;
  readonly #run: RunDirectory;
  #shared: ProcessShared | undefined;
  #limits: LimitSupport = 'none';

  constructor(deps: ProcessRuntimeDeps) {
    this.#deps = deps;
    const { io, clock } = deps;
    this.#run = new RunDirectory({ io, clock, directory: join(deps.stateDir, 'run') });
  }
  async probe(): Promise<RuntimeFeatures> {
    const { pidNamespace, plan } = this.#opened();
    return {
      runtime: 'process',
      features: {
        limits: this.#limits,
        pidns: pidNamespace ? 'yes' : 'no',
        users: this.#deps.uid === 0 && plan.tools.setpriv ? 'any' : 'own',
      },
    };
  }
  async open(): Promise<void> {
    if (this.#shared) return;
    const { io, clock, uid, gid, stateDir } = this.#deps;
    const boot = bootId(io);
    const tools = findTools(io);
    const cgroups = new Cgroups(io, uid, stateDir);
    this.#limits = cgroups.open();
    this.#run.open();
    const ports = new Ports({
      io,
      clock,
      random: this.#deps.random.stream('ports'),
      directory: this.#deps.portsDirectory,
      runDirectory: this.#run.path,
      boot,
      uid,
      ...(this.#deps.bindProbe ? { probe: this.#deps.bindProbe } : {}),
    });
    ports.open();
    const never = this.#deps.pidNamespaces === 'never';
    this.#shared = {
      io,
      clock,
      random: this.#deps.random.stream('exec'),
      inside: this.#deps.inside,
      place: createHash('sha256').update(stateDir).digest('hex').slice(0, 12),
      boot,
      run: this.#run,
      ports,
      units: this.#deps.units,
      cgroups,
      sweeper: new Sweeper(io, clock),
      script: installSupervisor(io, this.#run.path),
      pidNamespace: never ? undefined : await findPidNamespace(io, tools, uid),
      publishHost: this.#deps.publishHost,
      logDirectory: this.#deps.logDirectory,
      plan: {
        io,
        self: { uid, gid },
        tools,
        node: this.#deps.node,
        pathDirs: this.#deps.pathDirs,
        tmpdir: this.#deps.tmpdir,
        workDirectory: join(stateDir, 'work'),
        allowed: uid !== 0 || this.#deps.allowProcess,
      },
    };
    // Commands of a daemon that was killed: nobody reads what they write.
    const { sweeper, place } = this.#shared;
    await sweeper.sweepWhere(EXEC_MARK, (value) => value.startsWith(`${place}.`));
  }
  async close(): Promise<void> {
    this.#run.close();
    this.#shared?.cgroups.close();
    this.#shared = undefined;
  }
  async list(): Promise<readonly AdoptedTask[]> {
    const shared = this.#opened();
    this.#run.scan();
    return this.#run
      .ids()
      .filter((id) => this.#run.entry(id).claimed)
      .map((id) => {
        const exit = controllerById(shared, id).exitNow();
        return { taskId: id, running: exit === undefined, exit };
      });
  }
  controller(task: AssignedTask): ProcessController {
    return new ProcessController(this.#opened(), task);
  }
  async usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]> {
    const shared = this.#opened();
    const roots = tasks.flatMap((task) => new ProcessController(shared, task).usageRoot() ?? []);
    return usageOfProcesses(shared.io, roots);
  }
  #opened(): ProcessShared {
    if (!this.#shared) throw new Error('the process runtime is not open');
    return this.#shared;
  }
}

/** Enough to look at a task whose specification is not known. */
function controllerById(shared: ProcessShared, id: string): ProcessController {
  return new ProcessController(shared, AssignedTask.create({ id }));
}
