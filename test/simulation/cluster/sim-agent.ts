import { AgentPosition, NodeDescription, type Position } from '../../../proto/index.ts';
import type { Random } from '../../../shared/random.ts';
import { Agent } from '../../../worker/agent/agent.ts';
import { FakeNetwork } from '../../../worker/agent/network.fixture.ts';
import { openRecord } from '../../../worker/agent/record-file.ts';
import type { Io } from '../../../worker/io.ts';
import { TaskLogs } from '../../../worker/logs/task-logs.ts';
import type { NetworkRows } from '../../../worker/network/network.ts';
import { FakeMachine } from '../../../worker/runtime/fake/fake-machine.ts';
import { FakeRuntime } from '../../../worker/runtime/fake/fake-runtime.ts';
import type { Runtime, RuntimeFeatures } from '../../../worker/runtime.ts';
import { SimFiles } from '../engine/sim-files.ts';
import { addressOf, type Endpoint } from '../engine/sim-network.ts';
import { SimClock } from '../engine/timeline.ts';
import { watchedLog } from '../engine/watched-log.ts';
import { CLUSTER_ID, nodeIdOf } from './founding.ts';
import type { World } from './machine.ts';

const STATE = '/agent';

/** A node's worker half: its tasks outlive its daemon. */
export class SimAgent {
  readonly machine: number;
  readonly nodeId: string;
  readonly tasks: FakeMachine;
  /** Its daemon stands still until then; its tasks go on. */
  pausedUntilMs = 0;
  readonly #world: World;
  readonly #files: SimFiles;
  readonly #managers: readonly string[];
  #daemon: AgentDaemon | undefined;
  #lives = 0;
  #boots = 1;
  #newest = { epoch: 0, term: 0, index: 0 };

  constructor(machine: number, managers: number, world: World) {
    this.machine = machine;
    this.nodeId = nodeIdOf(machine);
    this.#world = world;
    this.#files = new SimFiles(world.timeline, world.random.stream('files'));
    const forever = { isDead: false, pausedUntilMs: 0 };
    this.tasks = new FakeMachine(new SimClock(world.timeline, forever, 1_000, 1));
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
    const random = this.#world.random.stream(`life ${++this.#lives}`);
    this.#daemon = new AgentDaemon(this, random, this.#world, this.#files, {
      managers: this.#managers,
      bootId: `boot ${this.#boots}`,
      moved: (position) => this.#moved(position),
    });
    this.#daemon.agent.start().catch((error: Error) => {
      this.#world.checker.fail(`agent ${this.machine}: does not start: ${error.message}`);
    });
  }
  /** kill -9: tasks go on. `power`: the machine is off for a moment, and nothing goes on. */
  crash(power: boolean): void {
    this.#daemon?.die();
    this.#daemon = undefined;
    this.#world.counters.count(power ? 'agent lost power' : 'agent killed');
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
      this.#world.checker.fail(
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
  readonly isNewer = false;
  readonly agent: Agent;
  readonly #owner: SimAgent;
  readonly #world: World;
  isDead = false;

  constructor(
    owner: SimAgent,
    random: Random,
    world: World,
    files: SimFiles,
    options: LifeOptions,
  ) {
    this.#owner = owner;
    this.machine = owner.machine;
    this.nodeId = owner.nodeId;
    this.address = `agent-${owner.machine}:1`;
    this.#world = world;
    const clock = new SimClock(world.timeline, this, random.below(1_000_000), 1);
    const io = watched(files.as(this), options.moved);
    const stateDir = STATE;
    const log = watchedLog(world.counters, (what) => {
      if (!this.isDead) world.checker.fail(`agent ${this.machine}: ${what}`);
    });
    this.agent = new Agent({
      nodeId: this.nodeId,
      clusterId: CLUSTER_ID,
      stateDir,
      io,
      clock,
      random,
      log,
      runtimes: [processRuntime(owner.tasks)],
      network: new WatchedNetwork((what) => world.checker.fail(`agent ${this.machine}: ${what}`)),
      logs: new TaskLogs({ io, clock, log, stateDir, nodeId: this.nodeId }),
      dial: (address) => world.network.dial(this, address),
      managers: options.managers,
      describe: () =>
        NodeDescription.create({
          hostname: this.nodeId,
          os: 'linux',
          architecture: 'amd64',
          resources: { nanoCpus: 4e9, memoryBytes: 8 * 2 ** 30 },
          features: { network: 'overlay' },
          dataAddress: `192.168.0.${1 + this.machine}`,
        }),
      publishAddress: `10.0.0.${this.machine}`,
      bootId: options.bootId,
    });
  }
  get pausedUntilMs(): number {
    return this.#owner.pausedUntilMs;
  }
  handler(): undefined {
    return undefined;
  }
  die(): void {
    this.isDead = true;
    this.#world.network.gone(this);
  }
}

/** Looks at the load balancing that a node is told to build. */
class WatchedNetwork extends FakeNetwork {
  override readonly tier = 'overlay';
  readonly #fail: (what: string) => void;

  constructor(fail: (what: string) => void) {
    super();
    this.#fail = fail;
  }
  override apply(rows: NetworkRows): void {
    const places = new Set<string>();
    for (const { serviceName, backends } of rows.services) {
      const slots = new Set<number>();
      for (const { slot, draining, ports } of backends) {
        if (!draining && slots.has(slot))
          this.#fail(`slot ${slot} of ${serviceName} is there twice`);
        if (!draining) slots.add(slot);
        for (const { host, port } of ports) {
          const place = `${host}:${port}`;
          if (places.has(place)) this.#fail(`${place} is there twice`);
          places.add(place);
        }
      }
    }
    super.apply(rows);
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
