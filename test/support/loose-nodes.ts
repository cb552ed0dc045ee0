import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Api } from './api.ts';
import type { Person } from './people.ts';
import { isRunning } from './processes.ts';
import { mustSwarm, type Ran, type RunOptions, rows, swarm, until } from './swarm.ts';

export interface LooseNode {
  readonly name: string;
  readonly stateDir: string;
  readonly socket: string;
  /** host:port of its control port. */
  readonly address: string;
  /** Address of its published ports. */
  readonly host: string;
}

/** Nodes that make or join clusters command by command, as a person types it. */
export class LooseNodes {
  readonly person: Person;
  readonly dir: string;
  readonly #remove: () => void;
  readonly #nodes: LooseNode[] = [];
  readonly #apis: Api[] = [];

  constructor(person: Person) {
    const { path, remove } = person.tempDir();
    this.person = person;
    this.dir = path;
    this.#remove = remove;
  }

  /** A node that is not started. Each has a loopback address of its own and a port that is free. */
  async add(name: string): Promise<LooseNode> {
    const host = `127.0.78.${this.#nodes.length + 1}`;
    const address = `${host}:${await freePort(host)}`;
    const stateDir = join(this.dir, name);
    const node = { name, stateDir, socket: join(stateDir, 'swarm.sock'), address, host };
    this.#nodes.push(node);
    return node;
  }

  /** The flags of `init` and `join` that make this node what it is. */
  flags(node: LooseNode): string[] {
    const flags = ['--state-dir', node.stateDir, '--name', node.name];
    flags.push('--listen-addr', node.address, '--advertise-addr', node.address);
    flags.push('--publish-addr', node.host);
    return this.person.uid === 0 ? [...flags, '--allow-process'] : flags;
  }
  init(node: LooseNode, ...more: string[]): Promise<string> {
    return this.must(node, ['init', ...this.flags(node), ...more]);
  }
  async join(node: LooseNode, role: 'worker' | 'manager', via: LooseNode): Promise<void> {
    const token = await this.token(via, role);
    const words = ['join', '--token', '-', ...this.flags(node), via.address];
    await this.must(node, words, { input: `${token}\n` });
  }
  async token(via: LooseNode, role: 'worker' | 'manager'): Promise<string> {
    return (await this.must(via, ['join-token', '-q', role])).trim();
  }

  swarm(node: LooseNode, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return swarm(args, this.#with(node, options));
  }
  must(node: LooseNode, args: readonly string[], options: RunOptions = {}): Promise<string> {
    return mustSwarm(args, this.#with(node, options));
  }
  rows<T>(node: LooseNode, args: readonly string[]): Promise<T[]> {
    return rows<T>(args, this.#with(node, {}));
  }
  api(node: LooseNode): Api {
    const api = new Api(node.socket);
    this.#apis.push(api);
    return api;
  }

  /** The daemon that holds the state directory; undefined when none does. */
  pid(node: LooseNode): number | undefined {
    const path = join(node.stateDir, 'lock');
    if (!existsSync(path)) return undefined;
    const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number };
    return isRunning(pid) ? pid : undefined;
  }
  /** Resolves with its pid when it has ended. */
  async kill(node: LooseNode): Promise<number> {
    const pid = this.pid(node)!;
    process.kill(pid, 'SIGKILL');
    return until(`the end of ${node.name}`, () => (isRunning(pid) ? undefined : pid));
  }

  /** Ends every daemon with its tasks; a dead one is started once more, since it knows its tasks. */
  async down(): Promise<void> {
    for (const api of this.#apis) api.close();
    for (const node of this.#nodes) {
      if (existsSync(join(node.stateDir, 'node.json')))
        await this.swarm(node, ['start', '--state-dir', node.stateDir, ...this.#allow()]);
    }
    await Promise.all(
      this.#nodes
        .filter((node) => this.pid(node) !== undefined)
        .map((node) => this.swarm(node, ['stop', '--with-tasks'])),
    );
    for (const node of this.#nodes) {
      const pid = this.pid(node);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
    this.#remove();
  }

  #allow(): string[] {
    return this.person.uid === 0 ? ['--allow-process'] : [];
  }
  #with(node: LooseNode, options: RunOptions): RunOptions {
    const own = this.person.options;
    const env = { ...own.env, ...options.env, SWARM_SOCKET: node.socket };
    return { timeoutMs: 60_000, ...own, ...options, env };
  }
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

/** A directory that a test may fill. */
export function makeDir(...parts: string[]): string {
  const path = join(...parts);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}
