import { readdirSync, readFileSync } from 'node:fs';
import { mustSwarm, type Ran, type RunOptions, rows, swarm, tempDir, until } from './swarm.ts';

export interface DevNode {
  readonly name: string;
  /** At first: promotion and demotion change it in the cluster, not here. */
  readonly role: string;
  /** host:port of its control port. */
  readonly address: string;
  /** Address of its published ports and task ports. */
  readonly host: string;
  readonly socket: string;
  readonly pid: number;
  readonly dir: string;
}

interface DevRow {
  readonly Name: string;
  readonly Role: string;
  readonly Address: string;
  readonly Socket: string;
  readonly PID: number;
  readonly StateDir: string;
}

export interface TaskRow {
  readonly ID: string;
  readonly Name: string;
  readonly Node: string;
  readonly DesiredState: string;
  readonly CurrentState: string;
  readonly Error: string;
  readonly Slot: number;
  readonly Revision: number;
}

/**
 * A whole cluster of real daemons on this machine, made by `swarm dev up` in a directory of its own.
 * `down` ends everything that was started, by recorded pid.
 */
export class DevCluster {
  readonly dir: string;
  readonly #remove: () => void;
  /** Runs commands as another user, when set: a prefix such as `setpriv …`. */
  readonly #options: RunOptions;
  readonly #sockets = new Map<string, string>();

  private constructor(dir: string, remove: () => void, options: RunOptions) {
    this.dir = dir;
    this.#remove = remove;
    this.#options = options;
  }

  static async up(
    managers: number,
    workers: number,
    options: RunOptions = {},
    own: typeof tempDir = tempDir,
  ): Promise<DevCluster> {
    const { path, remove } = own();
    const cluster = new DevCluster(path, remove, options);
    try {
      await mustSwarm(
        ['dev', 'up', '--managers', `${managers}`, '--workers', `${workers}`, '--dir', path],
        { timeoutMs: 120_000, ...options },
      );
    } catch (error) {
      await cluster.down();
      throw error;
    }
    return cluster;
  }

  async nodes(): Promise<DevNode[]> {
    const found = await rows<DevRow>(['dev', 'ls', '--dir', this.dir], this.#options);
    return found.map((row) => ({
      name: row.Name,
      role: row.Role,
      address: row.Address,
      host: row.Address.replace(/:\d+$/, ''),
      socket: row.Socket,
      pid: row.PID,
      dir: row.StateDir,
    }));
  }
  async node(name: string): Promise<DevNode> {
    const found = (await this.nodes()).find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name} in ${this.dir}`);
    return found;
  }

  /** The socket of a node, which stays the same over its restarts. */
  async socket(name: string): Promise<string> {
    const known = this.#sockets.get(name) ?? (await this.node(name)).socket;
    this.#sockets.set(name, known);
    return known;
  }

  /** A command answered by the node `via`. */
  async swarm(via: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const socket = await this.socket(via);
    return swarm(args, this.#with(socket, options));
  }
  async must(via: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const socket = await this.socket(via);
    return mustSwarm(args, this.#with(socket, options));
  }
  async rows<T>(via: string, args: readonly string[], options: RunOptions = {}): Promise<T[]> {
    const socket = await this.socket(via);
    return rows<T>(args, this.#with(socket, options));
  }

  /** `stop`, `start` or `kill` a node. */
  async dev(verb: string, node: string, ...flags: string[]): Promise<void> {
    await mustSwarm(['dev', verb, node, ...flags, '--dir', this.dir], this.#options);
  }

  /** Tasks of a service that are wanted and run. */
  async running(via: string, service: string): Promise<TaskRow[]> {
    const tasks = await this.rows<TaskRow>(via, ['service', 'ps', service, '--no-trunc']);
    return tasks.filter(
      (t) => t.DesiredState === 'Running' && t.CurrentState.startsWith('Running'),
    );
  }
  async untilRunning(
    via: string,
    service: string,
    count: number,
    timeoutMs = 30_000,
  ): Promise<TaskRow[]> {
    return until(
      `${count} tasks of ${service} to run`,
      async () => {
        const tasks = await this.running(via, service);
        return tasks.length === count ? tasks : undefined;
      },
      timeoutMs,
    );
  }
  async leader(via: string): Promise<string> {
    return until('a leader', async () => {
      const nodes = await this.rows<{ Hostname: string; ManagerStatus: string }>(via, [
        'node',
        'ls',
      ]);
      return nodes.find((node) => node.ManagerStatus === 'Leader')?.Hostname;
    });
  }

  log(node: DevNode): string {
    return readFileSync(`${node.dir}/swarmd.log`, 'utf8');
  }

  async down(): Promise<void> {
    await swarm(['dev', 'down', '--dir', this.dir], { timeoutMs: 60_000, ...this.#options });
    this.#remove();
  }

  #with(socket: string, options: RunOptions): RunOptions {
    return {
      ...this.#options,
      ...options,
      env: { ...this.#options.env, ...options.env, SWARM_SOCKET: socket },
    };
  }
}

/** The netd that works in the node's state directory. */
export function netdOf(node: DevNode): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      if (command.includes('netd') && command.includes(node.dir)) return Number(name);
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}
