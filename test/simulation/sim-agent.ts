import { AgentPosition, NodeDescription, type Position } from '../../proto/index.ts';
import { silentLog } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import { Agent } from '../../worker/agent/agent.ts';
import { FakeNetwork } from '../../worker/agent/fake-network.ts';
import { openRecord } from '../../worker/agent/record-file.ts';
import { TaskLogs } from '../../worker/logs/task-logs.ts';
import { FakeMachine } from '../../worker/runtime/fake/fake-machine.ts';
import { FakeRuntime } from '../../worker/runtime/fake/fake-runtime.ts';
import type { Io } from '../../worker/runtime/io.ts';
import type { Runtime, RuntimeFeatures } from '../../worker/runtime/runtime.ts';
import type { MachineDeps } from './machine.ts';
import { SimFiles } from './sim-io.ts';
import { addressOf, type Endpoint } from './sim-network.ts';
import { SimClock } from './timeline.ts';

const STATE = '/agent';

/** A node's worker half: its tasks outlive its daemon. */
export class SimAgent {
  readonly machine: number;
  readonly nodeId: string;
  readonly tasks: FakeMachine;
  readonly #deps: MachineDeps;
  readonly #files: SimFiles;
  readonly #managers: readonly string[];
  #daemon: AgentDaemon | undefined;
  #lives = 0;
  #boots = 1;
  #newest = { epoch: 0, term: 0, index: 0 };

  constructor(machine: number, managers: number, deps: MachineDeps) {
    this.machine = machine;
    this.nodeId = `node-${machine}`;
    this.#deps = deps;
    this.#files = new SimFiles(deps.timeline, deps.random.stream('files'));
    const forever = { isDead: false, pausedUntilMs: 0 };
    this.tasks = new FakeMachine(new SimClock(deps.timeline, forever, 1_000, 1));
    this.#managers = Array.from({ length: managers }, (_, at) => addressOf(at));
  }
  get isUp(): boolean {
    return this.#daemon !== undefined;
  }
  get isConnected(): boolean {
    return this.#daemon?.agent.connected ?? false;
  }

  start(): void {
    if (this.#daemon) return;
    const random = this.#deps.random.stream(`life ${++this.#lives}`);
    this.#daemon = new AgentDaemon(this, random, this.#deps, this.#files, {
      managers: this.#managers,
      bootId: `boot ${this.#boots}`,
      moved: (position) => this.#moved(position),
    });
    this.#daemon.agent.start().catch((error: Error) => {
      this.#deps.checker.fail(`agent ${this.machine}: does not start: ${error.message}`);
    });
  }
  /** kill -9: tasks go on. `power`: the machine is off for a moment, and nothing goes on. */
  crash(power: boolean): void {
    this.#daemon?.die();
    this.#daemon = undefined;
    this.#deps.counters.count(power ? 'agent lost power' : 'agent killed');
    if (!power) return;
    this.#boots++;
    this.#files.powerCut();
    this.tasks.reboot();
    this.#newest = { epoch: 0, term: 0, index: 0 };
  }

  /** An agent never obeys a lower (epoch, term, index) than it obeyed before. */
  #moved({ epoch, term, index }: Position): void {
    const old = this.#newest;
    const isLower =
      epoch !== old.epoch
        ? epoch < old.epoch
        : term !== old.term
          ? term < old.term
          : index < old.index;
    if (isLower)
      this.#deps.checker.fail(
        `agent ${this.machine}: went back to term ${term}, index ${index} from ${old.term}, ${old.index}`,
      );
    this.#newest = { epoch, term, index };
  }
}

interface LifeOptions {
  readonly managers: readonly string[];
  readonly bootId: string;
  readonly moved: (position: Position) => void;
}

/** One life of the agent. */
class AgentDaemon implements Endpoint {
  readonly machine: number;
  readonly address: string;
  readonly nodeId: string;
  readonly pausedUntilMs = 0;
  readonly agent: Agent;
  readonly #deps: MachineDeps;
  isDead = false;

  constructor(
    owner: SimAgent,
    random: Random,
    deps: MachineDeps,
    files: SimFiles,
    options: LifeOptions,
  ) {
    this.machine = owner.machine;
    this.nodeId = owner.nodeId;
    this.address = `agent-${owner.machine}:1`;
    this.#deps = deps;
    const clock = new SimClock(deps.timeline, this, random.below(1_000_000), 1);
    const io = watched(files.as(this), options.moved);
    const stateDir = STATE;
    this.agent = new Agent({
      nodeId: this.nodeId,
      clusterId: 'cluster',
      stateDir,
      io,
      clock,
      random,
      log: silentLog,
      runtimes: [processRuntime(owner.tasks)],
      network: new FakeNetwork(),
      logs: new TaskLogs({ io, clock, log: silentLog, stateDir, nodeId: this.nodeId }),
      dial: (address) => deps.network.dial(this, address),
      managers: options.managers,
      describe: () =>
        NodeDescription.create({
          hostname: this.nodeId,
          os: 'linux',
          architecture: 'amd64',
          resources: { nanoCpus: 4e9, memoryBytes: 8 * 2 ** 30 },
        }),
      publishAddress: '127.0.0.1',
      bootId: options.bootId,
    });
  }
  handler(): undefined {
    return undefined;
  }
  die(): void {
    this.isDead = true;
    this.#deps.network.gone(this);
  }
}

/** The fake one, under the name that services ask for. */
function processRuntime(tasks: FakeMachine): Runtime {
  const fake = new FakeRuntime(tasks);
  const probe = async (): Promise<RuntimeFeatures> => {
    return { ...(await FakeRuntime.prototype.probe.call(fake)), runtime: 'process' };
  };
  return Object.assign(fake as Runtime, { name: 'process', probe });
}

/** Tells of every position that the agent writes down. */
function watched(io: Io, moved: (position: Position) => void): Io {
  return {
    ...io,
    rename: (from, to) => {
      io.rename(from, to);
      const bytes = to === `${STATE}/position` ? io.read(to) : undefined;
      const payload = bytes && openRecord(bytes);
      const position = payload && AgentPosition.decode(payload).position;
      if (position) moved(position);
    },
  };
}
