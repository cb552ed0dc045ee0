import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SystemClock } from '../../../shared/clock.ts';
import { Cgroups } from '../../../worker/runtime/process/cgroups.ts';
import { SystemIo } from '../../../worker/system-io.ts';
import { Api } from '../api.ts';
import { Lan, Machine } from '../machine.ts';
import { commandLines, isRunning } from '../processes.ts';
import { missingPrograms } from '../programs.ts';
import { type Ran, ROOT, tempDir, until } from '../swarm.ts';
import { OwnDisk } from './own-disk.ts';

const CLI = `${process.execPath} ${join(ROOT, 'dist', 'bundle', 'swarm.mjs')}`;

/** Why there can be no such hosts here; empty: there can. With CI=true a missing thing is an error. */
export function missingForHosts(): string {
  const missing = [
    ...(process.getuid?.() === 0 ? [] : ['root']),
    ...missingPrograms(['ip', 'nft', 'nsenter', 'unshare']),
  ];
  if (missing.length === 0) return '';
  const text = `managers on hosts of their own: ${missing.join(', ')} missing (deploy/install-deps --test)`;
  if (process.env['CI'] === 'true') throw new Error(text);
  return text;
}

/** A manager on a host of its own. The socket lies where the test reaches it. */
export interface ManagerHost {
  readonly name: string;
  readonly ip: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly machine: Machine;
  /** Where its state directory is, if it was asked for. */
  readonly disk: OwnDisk | undefined;
}

/**
 * Managers, each the real daemon in a network namespace of its own on one bridge. Packets of one to
 * another can be dropped, one way too; processes can be stopped, continued and killed.
 */
export class ManagerHosts {
  readonly hosts: readonly ManagerHost[];
  readonly #lan: Lan;
  readonly #directory: { readonly path: string; remove(): void };

  private constructor(
    hosts: readonly ManagerHost[],
    lan: Lan,
    directory: { readonly path: string; remove(): void },
  ) {
    this.hosts = hosts;
    this.#lan = lan;
    this.#directory = directory;
  }

  /** One cluster with `count` managers and nothing else. Root only. */
  static async up(count: number, how: { ownDisks?: boolean } = {}): Promise<ManagerHosts> {
    const directory = tempDir();
    const lan = await Lan.make();
    const hosts: ManagerHost[] = [];
    const cluster = new ManagerHosts(hosts, lan, directory);
    try {
      for (let n = 1; n <= count; n++) {
        const [name, ip] = [`m${n}`, `10.0.9.${n}`];
        const stateDir = join(directory.path, name);
        const disk = how.ownDisks ? await OwnDisk.mount(stateDir) : undefined;
        const machine = await Machine.make({ bridge: lan, address: ip });
        hosts.push({ name, ip, stateDir, socket: join(stateDir, 'swarm.sock'), machine, disk });
      }
      await cluster.#join();
      for (const host of hosts) await host.machine.must(RULES);
    } catch (error) {
      await cluster.down();
      throw error;
    }
    return cluster;
  }

  async #join(): Promise<void> {
    const [first, ...others] = this.hosts;
    await this.must(first!, `init --availability drain ${place(first!)}`);
    const token = (await this.must(first!, 'join-token -q manager')).trim();
    // One after the other: the even counts on the way are what a user's cluster goes through too.
    for (const host of others) {
      const join = `join --token - --availability drain ${place(host)} ${first!.ip}:2377`;
      await this.must(host, join, `${token}\n`);
    }
  }

  /** A command line of `swarm`, typed on the host. */
  swarm(host: ManagerHost, words: string, input = ''): Promise<Ran> {
    return host.machine.sh(`${CLI} --socket ${host.socket} ${words}`, input);
  }
  must(host: ManagerHost, words: string, input = ''): Promise<string> {
    return host.machine.must(`${CLI} --socket ${host.socket} ${words}`, input);
  }
  host(name: string): ManagerHost {
    return this.hosts.find((host) => host.name === name)!;
  }
  others(...than: readonly ManagerHost[]): ManagerHost[] {
    return this.hosts.filter((host) => !than.includes(host));
  }

  // -- processes

  pid(host: ManagerHost): number | undefined {
    const path = join(host.stateDir, 'lock');
    if (!existsSync(path)) return undefined;
    const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number };
    return isRunning(pid) ? pid : undefined;
  }
  async kill(...hosts: readonly ManagerHost[]): Promise<void> {
    const pids = hosts.map((host) => this.pid(host)!);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await until('killed managers to be gone', () => !pids.some(isRunning) || undefined);
  }
  freeze(...hosts: readonly ManagerHost[]): void {
    for (const host of hosts) process.kill(this.pid(host)!, 'SIGSTOP');
  }
  thaw(...hosts: readonly ManagerHost[]): void {
    for (const host of hosts) process.kill(this.pid(host)!, 'SIGCONT');
  }
  /** SIGTERM's end in order: leadership is handed over first. */
  async stop(host: ManagerHost): Promise<void> {
    await this.must(host, 'stop');
  }
  async start(...hosts: readonly ManagerHost[]): Promise<void> {
    await Promise.all(
      hosts.map((host) => this.must(host, `start --state-dir ${host.stateDir} --allow-process`)),
    );
  }

  /** Whatever was done to them, all run again. */
  async revive(): Promise<void> {
    for (const host of this.hosts) {
      const pid = this.pid(host);
      if (pid !== undefined) process.kill(pid, 'SIGCONT');
    }
    await this.start(...this.hosts.filter((host) => this.pid(host) === undefined));
  }

  // -- links

  /** From now on nothing that `from` sends comes to `to`; the other direction is as it was. */
  async cut(from: readonly ManagerHost[], to: readonly ManagerHost[]): Promise<void> {
    const senders = from.map((host) => host.ip).join(', ');
    await Promise.all(
      to.map((host) => host.machine.must(`nft 'add element inet cut from { ${senders} }'`)),
    );
  }
  async cutBoth(some: readonly ManagerHost[], rest: readonly ManagerHost[]): Promise<void> {
    await Promise.all([this.cut(some, rest), this.cut(rest, some)]);
  }
  async heal(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.machine.must('nft flush set inet cut from')));
  }

  // -- what is known

  /** The leader that a manager of `among` knows and that a quorum confirmed. */
  async leader(among: readonly ManagerHost[] = this.hosts): Promise<ManagerHost> {
    const apis = among.map((host) => new Api(host.socket));
    try {
      return this.host(await Promise.any(apis.map((api) => api.leader())));
    } finally {
      for (const api of apis) api.close();
    }
  }
  /** Resolves when every manager is reachable for the leader. */
  async whole(): Promise<void> {
    const api = new Api((await this.leader()).socket);
    try {
      await until('every manager to be reachable', async () => {
        const nodes = await api.nodes();
        const there = nodes.filter((view) => view.member?.phase === 'voter' && view.reachable);
        return there.length === this.hosts.length && nodes.some((v) => v.leader) ? true : undefined;
      });
    } finally {
      api.close();
    }
  }
  log(host: ManagerHost): string {
    return readFileSync(join(host.stateDir, 'swarmd.log'), 'utf8');
  }

  /** Ends every process that works in the cluster's directory, then the hosts. */
  async down(): Promise<void> {
    const own = (): number[] =>
      commandLines()
        .filter(({ words }) => words.some((word) => word.startsWith(`${this.#directory.path}/`)))
        .map(({ pid }) => pid);
    for (const host of this.hosts) {
      await host.disk?.thaw();
      const pid = this.pid(host);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
    for (const pid of own()) process.kill(pid, 'SIGKILL');
    await until('the processes of the cluster to end', () => own().length === 0 || undefined);
    for (const { machine } of this.hosts) await machine.end();
    for (const { stateDir } of this.hosts) removeCgroups(stateDir);
    for (const { disk } of this.hosts) await disk?.unmount();
    await this.#lan.end();
    this.#directory.remove();
  }
}

/** Daemons that were killed could not take theirs away. */
function removeCgroups(stateDir: string): void {
  const cgroups = new Cgroups(new SystemIo(new SystemClock()), 0, stateDir);
  cgroups.open();
  cgroups.close();
}

/** Everything that comes from an address of the set is dropped. */
const RULES = [
  'nft add table inet cut',
  "nft 'add set inet cut from { type ipv4_addr; }'",
  "nft 'add chain inet cut in { type filter hook input priority 0; }'",
  'nft add rule inet cut in ip saddr @from drop',
].join(' && ');

/** Without an address: a machine finds its own. */
function place({ name, stateDir }: ManagerHost): string {
  return `--allow-process --name ${name} --state-dir ${stateDir}`;
}
